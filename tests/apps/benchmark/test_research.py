"""The research loop end to end on a tiny index: folds, what is left out, and going on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import yaml
from tests.apps.benchmark.conftest import TRAINED, UNSEEN, face

from unmask.apps.benchmark import one
from unmask.apps.benchmark.plan import Arm
from unmask.apps.benchmark.research import Research, Workshop, rank, read_research
from unmask.apps.benchmark.run import alone
from unmask.data.index import index_of, write_index
from unmask.data.items import read_items
from unmask.errors import ConfigError
from unmask.models.checkpoint import load_checkpoint

FOLDS = {"swaps": [UNSEEN], "others": [TRAINED]}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both families in every split, which a protocol would not have."""
    root = tmp_path_factory.mktemp("research-index")
    rows = []
    for split, count in {"train": 4, "val": 4, "test": 3}.items():
        for person in (f"{split}{n}" for n in range(count)):
            rows.append(face(root, f"real/{person}", person, split))
            for made in (TRAINED, UNSEEN):
                rows.append(face(root, f"{made}/{person}", person, split, manipulation=made))
    write_index(index_of(root, rows), root / "index.parquet")
    return root / "index.parquet"


@pytest.fixture(scope="module")
def research(
    tmp_path_factory: pytest.TempPathFactory, write_table: Callable[..., Path]
) -> Research:
    folder = tmp_path_factory.mktemp("research-table")
    table = yaml.safe_load(write_table(folder, seeds=[0]).read_text())
    table["arms"]["rich"] = {"model": "rich", "data": {"draws": 1, "own": True}}
    path = folder / "research.yaml"
    both = {"both": {"members": ["meso", "rich"], "summary": "their mean"}}
    path.write_text(yaml.safe_dump({"folds": FOLDS, "table": table, "ensembles": both}))
    return read_research(path)


@pytest.fixture(scope="module")
def done(
    research: Research, everything: Path, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("research")
    said: list[str] = []
    shop = Workshop(
        research, read_items(everything), "val", root / "out", root / "work", 1, said.append
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unmask.apps.benchmark.run._in_process", lambda job, running: one.run(job))
        failures = shop.carry_out(["meso", "rich"], list(FOLDS), [0])
    page = rank(research, shop.out, "val")
    return SimpleNamespace(shop=shop, out=root / "out", failures=failures, page=page, said=said)


def test_every_candidate_is_ranked_by_what_it_was_not_trained_on(done: Any) -> None:
    assert done.failures == []
    told = json.loads((done.out / "research.json").read_text())
    rows = {row["name"]: row for row in told["candidates"]}
    assert set(rows) == {"meso", "rich", "both"}
    for name in ("parameters", "seconds"):
        assert rows["both"][name] == rows["meso"][name] + rows["rich"][name]
    for row in told["candidates"]:
        assert row["runs"] == 2
        left = {f["family"] for f in row["families"] if f["part"] == "left_out"}
        assert left == {TRAINED, UNSEEN}
        assert set(row["flagged"]) == {
            "control/re-encoded", "control/blurred", "control/grid-shifted"
        }  # fmt: skip
    page = done.page.read_text()
    assert "Families left out of training" in page
    assert "meso" in page


def test_only_validation_pictures_are_scored(done: Any) -> None:
    items = pl.read_parquet(done.out / "items.parquet")
    assert items.height == 4 * 3
    assert all("val" in path for path in items["path"])


def test_a_fold_neither_trains_on_nor_chooses_by_what_it_leaves_out(done: Any) -> None:
    for fold, (left,) in FOLDS.items():
        folder = done.shop.work / f"trained/meso.{fold}-0"
        _, card = load_checkpoint(next(folder.glob("*.safetensors")))
        kept = {TRAINED, UNSEEN} - {left}
        assert set(card.training["configuration"]["data"]["families"]) == kept
        assert left not in json.dumps(card.metrics)


def test_what_is_done_is_not_done_again_and_a_changed_candidate_is_refused(
    done: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(one, "train_on", never)
    assert done.shop.carry_out(["meso"], list(FOLDS), [0]) == []
    arms = done.shop.research.table.arms
    other = arms["meso"].model_copy(update={"optim": {"learning_rate": 0.5}})
    table = done.shop.research.table.model_copy(update={"arms": {**arms, "meso": other}})
    changed = done.shop.research.model_copy(update={"table": table})
    shop = Workshop(changed, done.shop.items, "val", done.out, done.shop.work, 1, lambda text: None)
    with pytest.raises(ConfigError, match="another name"):
        shop.carry_out(["meso"], list(FOLDS), [0])


def test_a_second_command_is_kept_out_of_the_work_folder(done: Any) -> None:
    with alone(done.shop.work), pytest.raises(ConfigError, match="Another command is at work"):
        done.shop.carry_out(["meso"], list(FOLDS), [0])


def test_folds_of_families_that_are_not_there_are_refused(done: Any, tmp_path: Path) -> None:
    odd = done.shop.research.model_copy(update={"folds": {"gans": ("stylegan9",)}})
    shop = Workshop(odd, done.shop.items, "val", tmp_path, done.shop.work, 1, lambda text: None)
    with pytest.raises(ConfigError, match="leaves out stylegan9"):
        shop.carry_out(["meso"], ["gans"], [0])


def test_only_candidates_that_begin_from_imagenet_weights_get_them(
    done: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Path | None] = {}

    def note(todo: list[Any], *_: object) -> list[str]:
        given.update({job.arm: job.config.backbone_weights for job in todo})
        return []

    monkeypatch.setattr("unmask.apps.benchmark.research.run_all", note)
    arms = {
        "begun": Arm(model="airl_small", pretrained=True),
        "scratch": Arm(model="airl_small"),
    }
    table = done.shop.research.table.model_copy(update={"arms": arms})
    research = done.shop.research.model_copy(update={"table": table})
    weights = tmp_path / "backbone.safetensors"
    shop = Workshop(
        research, done.shop.items, "val", tmp_path, done.shop.work, 1, lambda text: None, weights
    )
    assert shop.carry_out([], ["swaps"], [0]) == []
    assert given == {"begun.swaps": weights, "scratch.swaps": None}


def test_a_name_with_a_dot_is_refused(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    table = yaml.safe_load(write_table(tmp_path).read_text())
    path = tmp_path / "research.yaml"
    path.write_text(yaml.safe_dump({"folds": {"a.b": [UNSEEN]}, "table": table}))
    with pytest.raises(ConfigError, match=r"cannot hold a '\.'"):
        read_research(path)
    with pytest.raises(ConfigError, match="There is no table"):
        read_research(tmp_path / "gone.yaml")


def test_the_shipped_candidates_can_all_be_trained() -> None:
    shipped = read_research(Path(__file__).parents[3] / "benchmarks/research.yaml")
    configs = [shipped.table.config(name, 0, {"self_blend": 1.0}) for name in shipped.table.arms]
    assert len(configs) >= 25
    assert shipped.table.reference in shipped.table.arms
    left = [family for fold in shipped.folds.values() for family in fold]
    assert len(left) == len(set(left)) == 12
    assert "stylegan" in left


@pytest.mark.parametrize(
    ("ensembles", "told"),
    [
        ({"rich": {"members": ["meso", "rich"], "summary": ""}}, "both a candidate and"),
        ({"two": {"members": ["meso", "nobody"], "summary": ""}}, "called nobody"),
        ({"one": {"members": ["meso"], "summary": ""}}, "at least 2"),
    ],
)
def test_ensembles_of_what_is_not_there_are_refused(
    research: Research, ensembles: dict[str, Any], told: str
) -> None:
    content = {**research.model_dump(mode="json", exclude_none=True), "ensembles": ensembles}
    with pytest.raises(ValueError, match=told):
        Research.model_validate(content)
