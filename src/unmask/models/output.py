"""What every network returns, and the head of those that have no projection of their own."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ModelOutput(NamedTuple):
    """logit: (N,) float32, positive = fake. embedding: (N, D) float32, unit length.

    The embedding is a projection made for the contrastive loss where the network has one (AIRL),
    else its penultimate features.
    """

    logit: Tensor
    embedding: Tensor


class LinearHead(nn.Module):
    """Dropout and one linear layer: (N, D) features -> `ModelOutput` with a D-d embedding.

    In float32 also under autocast: a logit's last digits order the scores.
    """

    def __init__(self, features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.logit = nn.Linear(features, 1)

    def forward(self, features: Tensor) -> ModelOutput:
        with torch.autocast(device_type=features.device.type, enabled=False):
            features = features.float()
            logit = self.logit(self.dropout(features)).squeeze(1)
            return ModelOutput(logit, F.normalize(features, dim=1))
