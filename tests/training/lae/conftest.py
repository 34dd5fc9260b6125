"""Face crops of 40 pixels with masks, drawn: a fake has a bright square where its mask is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from unmask.data.index import index_of, video_id, write_index
from unmask.training.lae.config import LAETrainConfig
from unmask.training.lae.data import Corpus
from unmask.training.lae.source import resolve_data

SIDE = 40
SQUARE = 12
COUNTS = {"train": 8, "val": 4, "test": 4}
LANDMARKS = [12.0, 14.0, 28.0, 14.0, 20.0, 22.0, 14.0, 30.0, 26.0, 30.0]


def face(number: int) -> np.ndarray:
    """(40, 40, 3) uint8 RGB, the same for the same number: smooth noise."""
    rng = np.random.default_rng(number)
    small = rng.integers(40, 160, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def corner(number: int, kind: str) -> tuple[int, int]:
    """Row and column where the square of a fake begins; always in the left half."""
    rng = np.random.default_rng([number, len(kind)])
    return int(rng.integers(4, 22)), int(rng.integers(2, 8))


def mask_of(number: int, kind: str) -> np.ndarray:
    row, column = corner(number, kind)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[row : row + SQUARE, column : column + SQUARE] = True
    return mask


def make_index(root: Path, counts: Mapping[str, int] = COUNTS) -> Path:
    """An index of reals, `seenway` and `otherway` fakes of them, as `unmask synthesize` has it."""
    rows: list[dict[str, Any]] = []
    number = 0
    for split, count in counts.items():
        for _ in range(count):
            name = f"p{number:03}"
            for kind in ("", "seenway", "otherway"):
                path, mask_path, picture = f"{kind or 'real'}/{name}.png", None, face(number)
                if kind:
                    picture = picture.copy()
                    mask = mask_of(number, kind)
                    picture[mask] = (250, 240, 60) if kind == "seenway" else (60, 240, 250)
                    mask_path = f"masks/{kind}/{name}.png"
                    (root / mask_path).parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(mask).save(root / mask_path)
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(root / path)
                rows.append(
                    {
                        "video_id": video_id("drawn", kind, "", name),
                        "frame": 0,
                        "path": path,
                        "label": int(bool(kind)),
                        "dataset": "drawn",
                        "manipulation": kind,
                        "source": "studio",
                        "identities": [name],
                        "split": split,
                        "mask_path": mask_path,
                        "landmarks": LANDMARKS,
                        "box": [0, 0, SIDE, SIDE],
                        "width": SIDE,
                        "height": SIDE,
                        "codec": "png",
                    }
                )
            number += 1
    table = root / "index.parquet"
    write_index(index_of(root, rows), table)
    return table


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_index(tmp_path_factory.mktemp("drawn"))


SETTINGS: dict[str, Any] = {
    "kind": "lae",
    "name": "tiny",
    "data": {"families": ["seenway"], "unseen": ["otherway"], "side": 32, "jpeg_quality": None},
    "model_options": {"channels": [4, 8], "latent": 4},
    "losses": {
        "perceptual_weights": "random",
        "perceptual_layers": ["relu1_1"],
        "discriminator_width": 4,
    },
    "stage_one": {"epochs": 2, "batch_size": 4},
    "selection": {"budget": "2"},
    "stage_two": {"epochs": 2, "masked_batch": 2, "learning_rate": 1e-3},
}


def settings(**sections: Any) -> dict[str, Any]:
    """`SETTINGS` with some values of sections changed."""
    changed = {name: dict(v) if isinstance(v, dict) else v for name, v in SETTINGS.items()}
    for name, values in sections.items():
        changed[name] = {**changed[name], **values} if isinstance(values, dict) else values
    return changed


def write_config(path: Path, **sections: Any) -> Path:
    path.write_text(yaml.safe_dump(settings(**sections)), "utf-8")
    return path


@pytest.fixture(scope="session")
def drawn() -> SimpleNamespace:
    """The functions above, for test modules, which cannot import them."""
    return SimpleNamespace(
        mask_of=mask_of, face=face, make_index=make_index, settings=settings,
        write_config=write_config, side=SIDE,
    )  # fmt: skip


@pytest.fixture(scope="session")
def corpus(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    config = LAETrainConfig.model_validate(settings())
    return Corpus.of(resolve_data(config.data, index), tmp_path_factory.mktemp("cache"))
