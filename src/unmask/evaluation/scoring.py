"""A network's logits and embeddings on a view store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unmask.errors import ShapeError
from unmask.evaluation.views import Batch, ViewStore
from unmask.models.checkpoint import predict
from unmask.transforms.preprocess import InputSpec, to_tensors


@dataclass(frozen=True)
class Scored:
    """One condition's scores: items (n,), logits (n,) float64, embeddings (n, D) if kept."""

    batch: Batch
    logits: NDArray[np.float64]
    embeddings: NDArray[np.float32] | None


def score(
    model: nn.Module,
    spec: InputSpec,
    store: ViewStore,
    batch: Batch,
    *,
    size: int = 64,
    precision: torch.dtype = torch.float32,
    keep_embeddings: bool = False,
    only: NDArray[np.intp] | None = None,
) -> Scored:
    """Score one condition of a store.

    Args:
        model: in eval mode.
        spec: its input contract.
        store: whose views were made for `spec`.
        batch: one of the store's.
        size: pictures at a time.
        precision: bfloat16 is faster on recent CPUs and moves scores slightly.
        keep_embeddings: return them, too.
        only: places in the batch, ascending, to score; all when None.

    Raises:
        ShapeError: a logit is not finite.
    """
    device = str(next(model.parameters()).device)
    logits, embeddings = [], []
    for views in store.views(batch, spec, size, only):
        found, embedded = predict(
            model, to_tensors(views, spec), device=device, precision=precision
        )
        logits.append(found)
        if keep_embeddings:
            embeddings.append(embedded)
    joined = np.concatenate(logits)
    if not np.isfinite(joined).all():
        raise ShapeError(
            f"{int((~np.isfinite(joined)).sum())} of {len(joined)} logits under "
            f"{batch.condition} are not finite: the network has diverged."
        )
    scored = batch if only is None else Batch(batch.condition, batch.items[only])
    return Scored(scored, joined, np.concatenate(embeddings) if keep_embeddings else None)
