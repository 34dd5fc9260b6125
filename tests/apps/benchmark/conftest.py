"""A tiny index of the data set `synthetic`, a table of two small arms, and their comparison."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from unmask.apps.benchmark import run as running
from unmask.apps.benchmark import tabulate
from unmask.apps.cli import app
from unmask.data.index import index_of, video_id, write_index
from unmask.evaluation import conditions
from unmask.transforms.levels import PERTURBATIONS

SIDE, SMALL = 136, 72
FIVE = [47.0, 55.0, 89.0, 55.0, 68.0, 79.0, 53.0, 100.0, 85.0, 100.0]
SPLITS = {"train": 6, "val": 4, "test": 5}
TRAINED, UNSEEN = "reenact", "face_swap"
PROTOCOL = "reenact->face_swap"

Row = dict[str, Any]
Command = Callable[..., Result]


def picture(seed: int, side: int = SIDE) -> np.ndarray:
    """(side, side, 3) blobs with grain."""
    rng = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(rng.normal(0, 1, (side, side, 3)), (0, 0), 3)
    noise = rng.normal(0, 8, (side, side, 3))
    return np.clip(128 + 40 * blobs / blobs.std() + noise, 0, 255).astype(np.uint8)


def face(root: Path, name: str, person: str, split: str | None, **changes: object) -> Row:
    """Write one face crop and give its row; of a fake, which is softer, `manipulation` is given."""
    made = str(changes.get("manipulation", ""))
    image = picture(sum(f"{person} {made}".encode()))
    if made:
        image = cv2.GaussianBlur(image, (0, 0), 0.8 + 0.1 * len(made) % 1)
    path = root / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    row: Row = {
        "video_id": video_id("synthetic", made, "", name),
        "frame": 0,
        "path": f"{name}.png",
        "label": int(bool(made)),
        "dataset": "synthetic",
        "source": "ffhq" if person.endswith(("0", "2", "4")) else "studio",
        "identities": [person],
        "split": split,
        "landmarks": FIVE,
        "box": [0, 0, SIDE, SIDE],
        "width": SIDE,
        "height": SIDE,
        "codec": "png",
    }
    return {**row, **changes}


def rows(root: Path) -> list[Row]:
    found = []
    for split, count in SPLITS.items():
        for number in range(count):
            person = f"{split}{number}"
            found.append(face(root, f"real/{person}", person, split))
            for made in (TRAINED, UNSEEN)[: 1 + (split == "test")]:
                name = f"{made}/{person}"
                found.append(face(root, name, person, split, manipulation=made))
    return found


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """15 people: 6 of training, 4 of validation, 5 of the tests; every one forged."""
    root = tmp_path_factory.mktemp("synthetic")
    write_index(index_of(root, rows(root)), root / "index.parquet")
    return root / "index.parquet"


@pytest.fixture(scope="session")
def column(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of three small fakes of `stylegan2`, a real, and a fake of its training split."""
    root = tmp_path_factory.mktemp("gan")
    lines = ["path,label,split,source,generator,identity,dataset,landmarks,box"]
    points, box = " ".join(str(v * SMALL / SIDE) for v in FIVE), f"0 0 {SMALL} {SMALL}"
    for number, (label, split) in enumerate([(1, "test")] * 3 + [(0, "test"), (1, "train")]):
        cv2.imwrite(str(root / f"{number}.png"), picture(90 + number, SMALL))
        made = "stylegan2" * label
        lines.append(f"{number}.png,{label},{split},faces,{made},g{number},gan,{points},{box}")
    (root / "gan.csv").write_text("\n".join(lines) + "\n")
    return root / "gan.csv"


def table(**changes: object) -> dict[str, Any]:
    """Two small arms and one epoch; two seeds."""
    small: dict[str, Any] = {
        "name": "tiny",
        "summary": "two small arms",
        "reference": "meso",
        "budget": "one epoch",
        "seeds": [0, 1],
        "sweep_each": 1,
        "embedded_each": 2,
        "common": {
            "data": {"side": 64, "native_size": 64, "ramp_epochs": 0, "workers": 0},
            "optim": {"epochs": 1, "batch_size": 4, "contrastive_weight": 0},
        },
        "arms": {
            "meso": {"model": "meso4", "model_options": {"size": 64}},
            "airl": {
                "model": "airl_small_frequency",
                "model_options": {"frequency_channels": [8, 8], "fused": 8, "projection": 8},
            },
        },
    }
    return {**small, **changes}


@pytest.fixture(scope="session")
def write_table() -> Callable[..., Path]:
    """`write_table(folder, **changes)`: the table as a file."""

    def write(folder: Path, **changes: object) -> Path:
        path = folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(table(**changes), sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def face_row() -> Callable[..., Row]:
    return face


@pytest.fixture(scope="session")
def all_rows() -> Callable[[Path], list[Row]]:
    return rows


class InThisProcess:
    """A pool that does its work when it is given it: a process of its own takes seconds."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, work: Callable[..., object], *given: object) -> Future[object]:
        future: Future[object] = Future()
        try:
            future.set_result(work(*pickle.loads(pickle.dumps(given))))
        except Exception as error:
            future.set_exception(error)
        return future


def run_here(*words: object) -> Result:
    """`unmask benchmark` with its runs in this process, two perturbations and few draws."""
    threads = torch.get_num_threads()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(running, "ProcessPoolExecutor", InThisProcess)
            patch.setattr(tabulate, "DRAWS", 100)
            few = {name: PERTURBATIONS[name] for name in ("jpeg", "gaussian_blur")}
            patch.setattr(conditions, "PERTURBATIONS", few)
            return CliRunner().invoke(app, ["benchmark", *map(str, words)])
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def unmask() -> Command:
    return run_here


@pytest.fixture(scope="session")
def benchmark(index: Path, column: Path) -> Command:
    """`benchmark(out, table, *more)`: the comparison with the column `gan` beside one source."""

    def invoke(out: Path, table: Path, *more: object, index: Path = index) -> Result:
        sides = ("--unseen", f"gan={column}", "--beside", "gan=ffhq")
        given = ("--index", f"synthetic={index}", "--out", out, "--table", table)
        return run_here(PROTOCOL, *given, *sides, *more)

    return invoke


@dataclass(frozen=True)
class Done:
    """A finished comparison: its folder, its table and what the command said."""

    out: Path
    table: Path
    said: Result

    def copy(self, to: Path) -> Path:
        """The folder and what it works with, elsewhere."""
        shutil.copytree(self.out, to)
        shutil.copytree(
            self.out.with_name(f"{self.out.name}.work"), to.with_name(f"{to.name}.work")
        )
        return to


@pytest.fixture(scope="session")
def done(
    benchmark: Command, write_table: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Done:
    """Two arms, two seeds; not to be changed (see `Done.copy`)."""
    root = tmp_path_factory.mktemp("done")
    table = write_table(root)
    said = benchmark(root / "out", table)
    assert said.exit_code == 0, said.output
    return Done(root / "out", table, said)
