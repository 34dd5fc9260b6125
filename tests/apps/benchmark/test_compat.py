"""`--compat`: what it adds, and that everything else stays as it is without."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from unmask.apps.benchmark import one
from unmask.apps.benchmark.compat import expected_videos, score_epochs, validation_aucs
from unmask.apps.benchmark.material import gather
from unmask.data.index import Index, index_of, read_index
from unmask.data.protocols.protocol import protocol
from unmask.data.protocols.resolve import Resolved, resolve
from unmask.errors import ShapeError
from unmask.evaluation.compat_files import epochs_path
from unmask.evaluation.views import Batch, ViewStore
from unmask.transforms.preprocess import InputSpec

PROTOCOL = "reenact->face_swap"


@pytest.fixture(scope="module")
def whole(index: Path) -> Index:
    return read_index(index)


@pytest.fixture(scope="module")
def resolved(whole: Index) -> Resolved:
    return resolve(protocol(PROTOCOL), {"synthetic": whole})


def lost_index(whole: Index, **changes: object) -> Index:
    """A test real of which nothing was cut out."""
    row = whole.table.filter((pl.col("split") == "test") & (pl.col("label") == 0)).row(
        0, named=True
    )
    nothing = dict.fromkeys(("frame", "box", "landmarks", "width", "height"))
    one = {**row, **nothing, "video_id": "synthetic/real/raw/lost", "path": "crops/lost"}
    return index_of(whole.root, [{**one, "identities": ["lost"], **changes}])


def test_all_videos_of_the_tests_are_expected(
    whole: Index, resolved: Resolved, tmp_path: Path
) -> None:
    found = expected_videos(resolved, {"synthetic": whole}, {})
    items = gather(resolved, {}, {}, tmp_path, lambda text: None).items
    names = ["video_id", "label", "cluster"]
    scored = items.select(*names, pl.col("sets").list.sort()).unique().sort("video_id")
    assert found.rows() == scored.rows()


def test_a_video_without_a_crop_is_expected_too(whole: Index, resolved: Resolved) -> None:
    given = {"synthetic": whole}
    before = expected_videos(resolved, given, {})
    after = expected_videos(resolved, given, {"synthetic": lost_index(whole)})
    more = after.join(before, on="video_id", how="anti")
    (row,) = more.rows(named=True)
    assert (row["video_id"], row["label"]) == ("synthetic/real/raw/lost", 0)
    assert row["cluster"] == "synthetic/lost"
    assert row["sets"] == ["seen", "unseen"]
    assert after.filter(pl.col("video_id") != row["video_id"]).equals(before)


@pytest.mark.parametrize("changes", [{"split": "train"}, {"label": 1, "manipulation": "blend"}])
def test_a_lost_video_that_no_test_asks_for_is_not(
    whole: Index, resolved: Resolved, changes: dict[str, object]
) -> None:
    given = {"synthetic": whole}
    lost = {"synthetic": lost_index(whole, **changes)}
    assert expected_videos(resolved, given, lost).equals(expected_videos(resolved, given, {}))


def test_only_epochs_that_are_all_there_are_scored(tmp_path: Path) -> None:
    logs = {"version_0": "epoch,val/auc\n0,0.5\n1,0.6\n", "version_10": "epoch,val/auc\n1,0.75\n"}
    for name, text in logs.items():
        (tmp_path / "logs" / name).mkdir(parents=True)
        (tmp_path / "logs" / name / "metrics.csv").write_text(text)
    assert validation_aucs(tmp_path) == {0: 0.5, 1: 0.75}
    (tmp_path / "epochs").mkdir()
    torch.save({"epoch": 1, "state_dict": {}}, tmp_path / "epochs/epoch=1.ckpt")
    store = ViewStore(tmp_path / "views", (Batch("clean", np.arange(2)),), np.arange(2))
    found = score_epochs(tmp_path, nn.Identity(), InputSpec(), store, np.arange(2))
    assert found is None


@pytest.mark.parametrize("answer", [None, ShapeError("3 of 9 logits are not finite")])
def test_epochs_that_cannot_be_scored_leave_the_run_alone(
    answer: ShapeError | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scoring(*args: object, **kwargs: object) -> None:
        if answer is not None:
            raise answer

    monkeypatch.setattr(one, "score_epochs", scoring)
    config = SimpleNamespace(seed=0)
    job = SimpleNamespace(out=tmp_path, arm="a", config=config, per_epoch=np.arange(2), tests=None)
    stale = epochs_path(tmp_path, "a", 0)
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of a run that was stopped")
    card = SimpleNamespace(input=InputSpec())
    said = one._score_epochs(job, tmp_path, nn.Identity(), card, torch.float32)  # type: ignore[arg-type]
    assert said.startswith("; ")
    assert "not finite" in said if answer else "before --compat" in said
    assert not stale.exists()


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def weights(work: Path) -> dict[str, torch.Tensor]:
    # not the file's hash: the order of what is said in its header is drawn anew for each file
    return load_file(work / "trained/meso-0/meso-0.safetensors")


def test_it_changes_nothing_of_a_run(done, benchmark, tmp_path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    said = benchmark(out, done.table, "--arms", "meso", "--seeds", "0", "--compat")
    assert said.exit_code == 0, said.output
    run = {"scores/meso/seed-0.parquet", "items.parquet", "embeddings/meso.json", "spectra.json"}
    for name in run:
        assert (out / name).read_bytes() == (done.out / name).read_bytes(), name
    facts = [json.loads((o / "runs/meso/seed-0.json").read_text()) for o in (out, done.out)]
    for name in ("threshold", "best_epoch", "val_auc", "config_sha256"):
        assert facts[0][name] == facts[1][name], name
    with_it, without = (weights(o.with_name("out.work")) for o in (out, done.out))
    assert with_it.keys() == without.keys()
    assert all(torch.equal(with_it[name], without[name]) for name in without)
    added = {"expected.parquet", "compat.json", "epochs/meso/seed-0.parquet"}
    assert added <= files(out)
    assert not any(n in added or n.startswith("epochs/") for n in files(done.out))
    flawed = "What flawed evaluations would report"
    assert flawed in (out / "index.html").read_text()
    assert flawed not in (done.out / "index.html").read_text()
