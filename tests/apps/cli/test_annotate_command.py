"""`unmask annotate`: select, export, import and status, as a person uses them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from unmask.apps.cli import annotate, app
from unmask.apps.cli.annotate_select import Selection
from unmask.data.annotation.queue import Entry, read_queue
from unmask.data.annotation.store import Annotations
from unmask.data.index import INDEX_FILE, index_of, write_index
from unmask.models.checkpoint import Card, load_checkpoint, predict, save_checkpoint
from unmask.models.registry import model_spec
from unmask.training.active import RULES
from unmask.transforms.preprocess import to_tensors, to_views

SIDE = 64
TRAIN_FAKES, REALS = 12, 6
FIVE = [20.0, 24.0, 44.0, 24.0, 32.0, 36.0, 24.0, 46.0, 40.0, 46.0]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["annotate", *map(str, words)])


def painted(y: int = 8) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[y : y + 20, 10:40] = 255
    return mask


def row(name: str, label: int, split: str | None, mask: bool) -> dict[str, Any]:
    return {
        "video_id": f"set/x/raw/{name}", "frame": 0, "path": f"crops/{name}.png", "label": label,
        "dataset": "set", "manipulation": "swap" * label, "source": "s", "identities": [name],
        "split": split, "landmarks": FIVE, "box": [0, 0, SIDE, SIDE],
        "mask_path": f"masks/{name}.png" if mask else None,
    }  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """12 training fakes (f0 without mask), 6 training reals, a fake each in val and test."""
    root, rows = tmp_path / "set", []
    (root / "crops").mkdir(parents=True)
    (root / "masks").mkdir()
    plan = [(f"f{i}", 1, "train") for i in range(TRAIN_FAKES)]
    plan += [(f"r{i}", 0, "train") for i in range(REALS)] + [("v", 1, "val"), ("t", 1, "test")]
    for number, (name, label, split) in enumerate(plan):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 120 + 100 * label, (SIDE, SIDE, 3)).astype(np.uint8)
        cv2.imwrite(str(root / "crops" / f"{name}.png"), pixels)
        cv2.imwrite(str(root / "masks" / f"{name}.png"), painted())
        rows.append(row(name, label, split, mask=bool(label) and name != "f0"))
    write_index(index_of(root, rows), root / INDEX_FILE)
    return root / INDEX_FILE


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained Meso4."""
    path = tmp_path_factory.mktemp("model") / "meso.safetensors"
    torch.manual_seed(0)
    spec = model_spec("meso4")
    config = spec.config.model_dump(mode="json")
    card = Card(name="meso", architecture="meso4", config=config, input=spec.input)
    save_checkpoint(path, spec.create(), card)
    return path


@pytest.fixture
def store(tmp_path: Path, index: Path) -> Path:
    """Four pictures selected at random."""
    done = run("select", index, "--out", tmp_path / "s", "--rule", "random", "--budget", 4)
    assert done.exit_code == 0, done.output
    return tmp_path / "s"


def names(store: Path) -> list[str]:
    return [Path(entry.picture).stem for entry in read_queue(store)]


def test_rules_are_those_of_training() -> None:
    assert annotate.RULES == RULES


def test_the_queue_is_printed_and_holds_training_fakes_only(index: Path, tmp_path: Path) -> None:
    store = tmp_path / "s"
    done = run("select", index, "--out", store, "--rule", "random", "--budget", "50%")
    assert (done.exit_code, done.stdout) == (0, f"{store / 'queue.jsonl'}\n")
    assert "6 pictures selected by random." in done.stderr
    queue = read_queue(store)
    assert [entry.rank for entry in queue] == [1, 2, 3, 4, 5, 6]
    assert {(e.rule, e.score, e.state) for e in queue} == {("random", None, "open")}
    assert len(set(names(store))) == 6
    assert all(name.startswith("f") for name in names(store))


def test_the_seed_decides_and_a_second_round_takes_others(index: Path, tmp_path: Path) -> None:
    words = ("--rule", "random", "--budget", 5)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert run("select", index, "--out", tmp_path / name, *words, "--seed", seed).exit_code == 0
    assert names(tmp_path / "a") == names(tmp_path / "b") != names(tmp_path / "c")
    assert run("select", index, "--out", tmp_path / "a", *words).exit_code == 0
    assert len(set(names(tmp_path / "a"))) == 10
    done = run("select", index, "--out", tmp_path / "a", *words)
    assert done.exit_code == 3
    assert "5 pictures were asked for, but only 2 are left." in done.stderr
    done = run("select", index, "--out", tmp_path / "a", *words)
    assert (done.exit_code, done.stdout) == (4, "")
    assert "nothing is left to select" in done.stderr


@pytest.mark.parametrize("rule", ["published", "entropy", "margin", "core_set"])
def test_rules_with_a_model_select(rule: str, index: Path, weights: Path, tmp_path: Path) -> None:
    words = ("--rule", rule, "--budget", 4, "--model", weights, "--device", "cpu")
    done = run("select", index, "--out", tmp_path / "s", *words)
    assert done.exit_code == 0, done.output
    queue = read_queue(tmp_path / "s")
    assert len(queue) == 4
    assert all(name.startswith("f") for name in names(tmp_path / "s"))
    assert all(isinstance(entry.score, float) and entry.rule == rule for entry in queue)
    if rule != "core_set":
        scores = [entry.score for entry in queue if entry.score is not None]
        assert scores == sorted(scores, reverse=True)
    if rule == "margin":
        assert names(tmp_path / "s") == least_certain(index, weights)[:4]


def least_certain(index: Path, weights: Path) -> list[str]:
    """The training fakes by |logit|, computed without any of what is tested."""
    model, card = load_checkpoint(weights)
    far = {}
    for place in range(TRAIN_FAKES):
        picture = cv2.imread(str(index.parent / "crops" / f"f{place}.png"))
        assert picture is not None
        views = to_views(np.ascontiguousarray(picture[..., ::-1]), card.input)
        far[f"f{place}"] = abs(predict(model, to_tensors([views], card.input))[0][0])
    return sorted(far, key=far.__getitem__)


def test_what_cannot_work_is_refused(index: Path, weights: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "s")
    for words, message in (
        (("--rule", "entropy"), "looks at pictures with a model, and none is given"),
        (("--rule", "random", "--model", weights), "has no use"),
        (("--rule", "random", "--budget", "1%"), "1% of 12 pictures is less than one"),
        (("--rule", "random", "--budget", "some"), "The budget 'some' cannot be"),
        (("--rule", "margin", "--model", "nothing"), "There is no model 'nothing'"),
    ):
        done = run("select", index, *out, *words)
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
        assert not read_queue(tmp_path / "s")
    inside = run("select", tmp_path / "set/crops", "--out", tmp_path / "set/crops/s", "--rule",
                 "random")  # fmt: skip
    assert inside.exit_code == 2
    assert "its masks would be read as pictures" in inside.stderr


def test_an_index_without_splits_or_fakes_is_refused(index: Path, tmp_path: Path) -> None:
    root = index.parent
    for rows, message in (
        ([row("f0", 1, None, False)], "1 rows have no split"),
        ([row("r0", 0, "train", False), row("v", 1, "val", False)], "no fakes in its training"),
    ):
        write_index(index_of(root, rows), root / "other.parquet")
        done = run("select", root / "other.parquet", "--out", tmp_path / "s", "--rule", "random")
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_published_needs_reals(index: Path, weights: Path, tmp_path: Path) -> None:
    done = run("select", index.parent / "crops", "--out", tmp_path / "s", "--model", weights)
    assert done.exit_code == 2
    assert "has no training reals" in done.stderr


def test_the_oracle_answers_at_once_or_later(index: Path, tmp_path: Path) -> None:
    words = ("--rule", "random", "--budget", TRAIN_FAKES)
    done = run("select", index, "--out", tmp_path / "a", *words, "--oracle")
    assert done.exit_code == 3
    assert "crops/f0.png has no mask in the index" in done.stderr
    assert "11 answers of oracle taken" in done.stderr
    run("select", index, "--out", tmp_path / "b", *words)
    assert run("import", tmp_path / "b", "--oracle").exit_code == 3
    for store in (tmp_path / "a", tmp_path / "b"):
        answers = Annotations(store)
        assert {a.annotator for a in answers.all()} == {"oracle"}
        assert all((answers.mask(a) == (painted() > 0)).all() for a in answers.all())
        assert sorted(e.state for e in read_queue(store)) == ["mask"] * 11 + ["open"]


def test_export_paint_import_status(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("export", store, out)
    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    first, second, third, _ = read_queue(store)

    def target(entry: Entry) -> Path:
        path = out / "masks" / Path(entry.picture).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    cv2.imwrite(str(target(first)), painted())
    cv2.imwrite(str(target(second)), painted()[:, :-1])
    cv2.imwrite(str(target(third)), painted(30))
    done = run("import", store, out, "--annotator", "anna")
    assert done.exit_code == 3
    assert "has 63x64 pixels, its picture 64x64" in done.stderr
    assert "2 answers of anna taken, 0 held already, 1 refused." in done.stderr
    document = json.loads(run("status", store, "--format", "json").stdout)
    assert document["schema"] == "unmask.annotation-status/1"
    assert document["queue"] == {
        "selected": 4, "open": 2, "mask": 2, "no_forgery": 0, "skipped": 0,
    }  # fmt: skip
    assert document["rules"] == {"random": 4}
    assert document["annotators"] == {"anna": {"mask": 2, "no_forgery": 0, "skipped": 0}}
    (refused,) = document["refused"]
    assert refused["picture"] == second.picture
    table = run("status", store).stdout
    assert "queue: 2 of 4 answered (50%): 2 masks, 0 without forgery, 0 skipped; 2 open" in table
    assert "anna  2 masks" in table
    assert "refused: 1\n" in table
    again = run("export", store, tmp_path / "rest")
    assert again.exit_code == 0
    assert len(list((tmp_path / "rest/pictures").rglob("*.png"))) == 2


def test_coco_goes_to_another_store_and_back(store: Path, index: Path, tmp_path: Path) -> None:
    run("import", store, "--oracle")
    path = tmp_path / "coco.json"
    done = run("export", store, path, "--format", "coco", "--which", "all")
    assert (done.exit_code, done.stdout) == (0, f"{path}\n")
    done = run("import", tmp_path / "new", path, "--annotator", "ben", "--index", index)
    masks = [a for a in Annotations(store).all() if a.kind == "mask"]
    assert f"{len(masks)} answers of ben taken" in done.stderr
    assert done.exit_code == 0
    assert run("export", tmp_path / "new", tmp_path / "nothing").exit_code == 4
    status = json.loads(run("status", tmp_path / "new", "--format", "json").stdout)
    assert (status["beside_queue"], status["queue"]["selected"]) == (len(masks), 0)


def test_a_plain_folder_will_do(tmp_path: Path, index: Path) -> None:
    photos, store = index.parent / "crops", tmp_path / "s"
    done = run("select", photos, "--out", store, "--rule", "random", "--budget", 3)
    assert done.exit_code == 0, done.output
    masks = tmp_path / "masks"
    masks.mkdir()
    for entry in read_queue(store):
        cv2.imwrite(str(masks / entry.picture), painted())
    done = run("import", store, masks, "--annotator", "anna")
    assert done.exit_code == 0, done.output
    assert [e.state for e in read_queue(store)] == ["mask"] * 3


def test_pictures_in_which_no_face_is_found_are_told(
    tmp_path: Path, index: Path, weights: Path
) -> None:
    words = ("--rule", "entropy", "--budget", 3, "--model", weights, "--device", "cpu")
    done = run("select", index.parent / "masks", "--out", tmp_path / "s", *words)
    assert done.exit_code == 2
    assert "No face in any of 20 pictures" in done.stderr


def test_who_painted_must_be_said(store: Path, tmp_path: Path) -> None:
    for words, message in (
        ((tmp_path,), "Who painted the masks is not said"),
        ((), "There are no MASKS to import"),
        ((tmp_path, "--annotator", "oracle"), "oracle is the name for the data set's own"),
        ((tmp_path, "--oracle"), "--oracle answers by itself"),
        ((tmp_path / "none", "--annotator", "anna"), "There is no folder"),
        ((tmp_path, "--annotator", "a\tb"), "no name of an annotator"),
    ):
        done = run("import", store, *words)
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_a_store_is_about_one_set_of_pictures(store: Path, index: Path, tmp_path: Path) -> None:
    done = run("select", index.parent / "crops", "--out", store, "--rule", "random")
    assert done.exit_code == 2
    assert "is about the pictures of" in done.stderr
    moved = index.parent.rename(tmp_path / "moved")
    assert "no longer at" in run("export", store, tmp_path / "out").stderr
    done = run("import", store, "--oracle", "--index", moved / INDEX_FILE)
    assert done.exit_code in (0, 3)
    assert Annotations(store).all()
    assert run("status", store).exit_code == 0


def test_an_empty_folder_has_no_status(tmp_path: Path) -> None:
    done = run("status", tmp_path)
    assert done.exit_code == 2
    assert "holds no queue and no masks" in done.stderr


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for words in (("status", tmp_path), ("select", tmp_path, "--out", tmp_path / "s")):
        done = run(*words)
        assert (done.exit_code, "pip install 'unmask[data]'" in done.stderr) == (2, True)


@pytest.mark.parametrize(("flag", "logit"), [(0.5, 0.0), (0.9, np.log(9)), (1.0, 0.0), (None, 0.0)])
def test_the_margin_is_to_the_threshold_of_the_card(flag: float | None, logit: float) -> None:
    decision = None if flag is None else SimpleNamespace(flag=flag)
    model: Any = (None, SimpleNamespace(decision=decision))
    found = Selection(Path(), [], "margin", 0, model)._threshold()
    assert found == pytest.approx(logit)


def test_a_network_without_channels_is_refused_before_any_work(index: Path, tmp_path: Path) -> None:
    spec, weights = model_spec("rich"), tmp_path / "rich.safetensors"
    config = spec.config.model_dump(mode="json")
    card = Card(name="rich", architecture="rich", config=config, input=spec.input)
    save_checkpoint(weights, spec.create(), card)
    words = ("--out", tmp_path / "s", "--model", weights, "--device", "cpu")
    done = run("select", index, *words, "--budget", 2)
    assert done.exit_code == 2
    assert "has no channels of a feature map" in done.stderr
    assert not (tmp_path / "s").exists()
