"""What `--compat` adds to a comparison: the videos it asks for, and the scores of every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from unmask.apps.benchmark.material import filmed
from unmask.data.index import Index
from unmask.data.protocols.normalise import Normalise
from unmask.data.protocols.resolve import Resolved, combined, resolve
from unmask.evaluation.compat_files import EPOCH_COLUMNS
from unmask.evaluation.scoring import score
from unmask.evaluation.views import ViewStore, clean
from unmask.training.run import EPOCHS
from unmask.transforms.preprocess import InputSpec


def expected_videos(
    resolved: Resolved, indices: Mapping[str, Index], lost: Mapping[str, Index]
) -> pl.DataFrame:
    """Every video that the tests of a protocol ask for, whether or not it has a usable face.

    Args:
        resolved: the protocol's sets, as they are scored.
        indices: what they were chosen from, by name.
        lost: of these the videos that gave no crop at all (`preparing.run.without_crops`).

    Returns:
        As `evaluation.compat_files.EXPECTED_COLUMNS`, sorted by video_id; `sets` has the
        protocol's tests alone.

    Raises:
        ProtocolError: with the lost videos, the protocol's sets would leak.
    """
    whole = dict(indices)
    for name, index in lost.items():
        tested = index.where(pl.col("split").fill_null("test") == "test")
        if len(tested):
            whole[name] = combined([indices[name], tested])
    # all sizes pass: a picture smaller than the window is a face that was not usable
    anything = Normalise(size="scale")
    asked = resolve(resolved.protocol.model_copy(update={"normalise": anything}), whole)
    rows = [
        index.table.select(
            "video_id",
            pl.col("label").cast(pl.UInt8),
            filmed(),
            pl.lit(name).alias("sets"),
        ).unique()
        for given in (resolved, asked)
        for name, index in given.tests.items()
    ]
    videos = pl.concat(rows).unique().sort("video_id", "sets")
    return videos.group_by("video_id", "label", "cluster", maintain_order=True).agg("sets")


def score_epochs(
    folder: Path,
    model: nn.Module,
    spec: InputSpec,
    store: ViewStore,
    items: NDArray[np.intp],
    *,
    precision: torch.dtype = torch.float32,
) -> pl.DataFrame | None:
    """Clean scores of some items by the checkpoint of every epoch.

    Args:
        folder: of the run, trained with `keep_every_epoch`.
        model: the trained network; its weights are those of the last epoch afterwards.
        spec: its input contract.
        store: of the test items.
        items: their numbers, ascending.
        precision: of scoring.

    Returns:
        As `evaluation.compat_files.EPOCH_COLUMNS`, or None if not every epoch was kept.
    """
    chosen_by = validation_aucs(folder)
    kept: dict[int, Path] = {}
    for path in (folder / EPOCHS).glob("*.ckpt"):
        kept[int(torch.load(path, map_location="cpu", weights_only=False)["epoch"])] = path
    if not kept or set(kept) != set(chosen_by):
        return None
    batch = clean(store.batches)
    only = np.flatnonzero(np.isin(batch.items, items))
    tables = []
    for epoch in sorted(kept):
        _load(model, kept[epoch])
        done = score(model, spec, store, batch, precision=precision, only=only)
        columns = {
            "epoch": [epoch] * len(only),
            "val_auc": [chosen_by[epoch]] * len(only),
            "item": done.batch.items,
            "logit": done.logits,
        }
        tables.append(pl.DataFrame(columns).cast(dict(EPOCH_COLUMNS)))  # type: ignore[arg-type]
    return pl.concat(tables)


def validation_aucs(folder: Path) -> dict[int, float]:
    """Epoch -> validation AUC, from the training logs of a run; the last where it was repeated."""
    found: dict[int, float] = {}
    logs = folder.glob("logs/*/metrics.csv")
    for path in sorted(logs, key=lambda p: int(p.parent.name.rpartition("_")[2])):
        log = pl.read_csv(path)
        for epoch, value in log.select("epoch", "val/auc").drop_nulls().rows():
            found[int(epoch)] = float(value)
    return found


def _load(model: nn.Module, checkpoint: Path) -> None:
    """Take over the weights of an epoch, rounded as those of the chosen one are when stored."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    prefix = "model."
    model.load_state_dict(
        {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    model.eval()
