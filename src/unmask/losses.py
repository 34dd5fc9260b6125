"""Training losses. Plain functions; each names its paper and equation."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.errors import ConfigError, ShapeError

Positives = Literal["same_class", "fakes_only"]


def supervised_contrastive(
    embeddings: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.07,
    positives: Positives = "same_class",
) -> Tensor:
    """Supervised contrastive loss over binary labels, so that all fakes form one class.

    For an anchor i with positives P(i) (same label, not i), with cosine similarity s:

        L_i = -1/|P(i)| sum_{p in P(i)} log( exp(s_ip / tau) / sum_{k != i} exp(s_ik / tau) )

    averaged over the anchors that have a positive; the others are skipped. Khosla et al. 2020,
    eq. 2 (L_out), which is how the AIRL paper's eq. for z_i, z_j is read for more than one
    positive.

    Args:
        embeddings: (N, D) float; need not be normalised, the zero vector counts as orthogonal.
        labels: (N,) integer or bool.
        temperature: tau > 0; 0.07 in the AIRL paper.
        positives: `same_class`, or `fakes_only`, where only anchors with label 1 are pulled
            together and reals serve as negatives alone.

    Returns:
        Scalar float32 >= 0; zero, with zero gradient, when no anchor has a positive.

    Raises:
        ShapeError: shapes do not fit.
        ConfigError: temperature not positive or unknown `positives`.

    >>> z = torch.eye(2).repeat(2, 1)
    >>> float(supervised_contrastive(z, torch.tensor([0, 1, 0, 1]))) < 1e-4
    True
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ShapeError(
            f"supervised_contrastive needs embeddings (N, D) and labels (N,); got "
            f"{tuple(embeddings.shape)} and {tuple(labels.shape)}."
        )
    if temperature <= 0 or positives not in get_args(Positives):
        raise ConfigError(
            f"temperature must be > 0 and positives one of {get_args(Positives)}; got "
            f"{temperature}, {positives!r}."
        )
    with torch.autocast(device_type=embeddings.device.type, enabled=False):
        unit = F.normalize(embeddings.float(), dim=1)
        self_pair = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        logits = (unit @ unit.T / temperature).masked_fill(self_pair, float("-inf"))
        log_prob = logits - torch.logsumexp(logits, dim=1, keepdim=True)
        positive = (labels[:, None] == labels[None, :]) & ~self_pair
        if positives == "fakes_only":
            positive &= (labels == 1)[:, None]
        count = positive.sum(1)
        anchors = count > 0
        if not anchors.any():
            return embeddings.float().sum() * 0.0
        per_anchor = -log_prob.masked_fill(~positive, 0.0).sum(1)[anchors] / count[anchors]
        return per_anchor.mean()
