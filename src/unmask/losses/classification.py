"""Losses on the embedding and the logit of a batch of reals and fakes."""

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

    averaged over the anchors that have a positive; the others are skipped. It compares only what it
    is given: where a batch goes through the network in parts (`optim.accumulate`), each part is a
    batch of its own, and the mean over the parts is not the loss of the whole; processes that share
    a batch put it together first (`training.share.gathered`). Khosla et al. 2020, eq. 2 (L_out),
    which is how the AIRL paper's eq. for z_i, z_j is read for more than one positive.

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


def am_softmax(
    logit: Tensor, labels: Tensor, *, scale: float = 30.0, margin: float = 0.35
) -> Tensor:
    """AM-softmax of two classes (Wang et al. 2018, eq. 5): cross-entropy with a cosine margin.

    For a network whose logit is z = scale (cos_fake - cos_real), the true class's cosine less the
    margin leaves, with the sign s = +1 for a fake and -1 for a real,

        L = log(1 + exp(scale margin - s z))

    so a margin of 0 is the plain binary cross-entropy.

    Args:
        logit: (N,) float, as `models.srm` returns it.
        labels: (N,) 0 real, 1 fake.
        scale: of the cosines in `logit`; 30 in the paper.
        margin: in units of the cosine; 0.35 in the paper.

    Returns:
        Scalar float32 > 0, the mean over the batch.

    Raises:
        ShapeError: shapes do not fit.
        ConfigError: scale not positive or margin negative.

    >>> round(float(am_softmax(torch.tensor([0.0]), torch.tensor([1]), margin=0.0)), 4)
    0.6931
    """
    if logit.ndim != 1 or labels.shape != logit.shape:
        raise ShapeError(
            f"am_softmax needs logit and labels (N,); got {tuple(logit.shape)} and "
            f"{tuple(labels.shape)}."
        )
    if scale <= 0 or margin < 0:
        raise ConfigError(f"scale must be > 0 and margin >= 0; got {scale}, {margin}.")
    sign = 2.0 * labels.float() - 1.0
    return F.softplus(scale * margin - sign * logit.float()).mean()
