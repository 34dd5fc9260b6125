"""The loss that gives each class its half of a latent."""

from __future__ import annotations

import torch
from torch import Tensor

from unmask.errors import ShapeError


def latent_activation(activations: Tensor, labels: Tensor) -> Tensor:
    """Drives the half of the latent that belongs to the class to 1 and the other half to 0.

    With a_true and a_fake the mean absolute value of each half, and l = 1 for a real,

        L = |a_true - l| + |a_fake - (1 - l)|

    averaged over the batch: the activation loss of Cozzolino et al. 2018, "ForensicTransfer:
    weakly-supervised domain adaptation for forgery detection", on the split latent of the
    locality-aware autoencoder (Du et al. 2020).

    Args:
        activations: (N, 2) float >= 0, a_true and a_fake, N >= 1; `models.lae.LAEOutput` has them.
        labels: (N,) 0 real, 1 fake.

    Returns:
        Scalar float >= 0; float64 of float64, else float32.

    Raises:
        ShapeError: shapes do not fit, or the batch is empty.

    >>> float(latent_activation(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([0, 1])))
    0.5
    """
    if activations.ndim != 2 or activations.shape[1] != 2 or not len(activations):
        raise ShapeError(
            f"latent_activation needs activations (N, 2), N >= 1; got {tuple(activations.shape)}."
        )
    if labels.shape != activations.shape[:1]:
        raise ShapeError(
            f"latent_activation needs labels ({len(activations)},); got {tuple(labels.shape)}."
        )
    precise = activations.to(torch.promote_types(activations.dtype, torch.float32))
    fake = labels.to(precise.dtype)
    return (precise - torch.stack([1 - fake, fake], dim=1)).abs().sum(1).mean()
