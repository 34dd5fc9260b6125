"""Networks whose front end has nothing to learn: fixed statistics, standardised, and a head."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.models.output import ModelOutput


class HeadConfig(BaseModel):
    """What shapes the head, as in `AIRLConfig`.

    Attributes:
        fused: width of the fused layer. Without one the classifier is linear, and the standardised
            statistics themselves are the embedding.
        dropout: before and after it.
        projection: width of the embedding.
        kinds: how many scores there are, each of fakes of one kind. The logit is the log of the
            mean of their odds: it is high where any of them is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fused: int | None = Field(256, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    projection: int = Field(128, ge=1)
    kinds: int = Field(1, ge=1)


class Source(NamedTuple):
    """A part of the statistics that may be measured by itself, once for several networks.

    Attributes:
        measured: all that the part depends on; what is kept of it is keyed by this.
        measure: (N, 3, n, n) RGB in [0, 255] -> (N, d).
        first: how many of the d this network looks at; the others come after them. None for all.
    """

    measured: Mapping[str, object]
    measure: Callable[[Tensor], Tensor]
    first: int | None = None


class StatisticsNet(nn.Module):
    """Fixed statistics, standardised, and a small fused head or a linear one.

    Since nothing before the head is learned, training computes the statistics once
    (`unmask.training.statistics`).

    Args:
        config: kept in the checkpoint; its head is built here.
        statistics: (N, 3, n, n) RGB in [0, 255] -> (N, D).
        columns: those of the D that the head looks at.

    Shape:
        `rgb` is ignored; `native` (N, 3, n, n) in [0, 255] -> `ModelOutput`.
    """

    columns: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, config: HeadConfig, statistics: nn.Module, columns: Tensor) -> None:
        super().__init__()
        self.config = config
        self.statistics = statistics
        size = len(columns)
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.fusion: nn.Module = nn.Dropout(config.dropout)
        width = config.fused or size
        if config.fused is not None:
            self.fusion = nn.Sequential(
                nn.Dropout(config.dropout),
                nn.Linear(size, width),
                nn.BatchNorm1d(width),
                nn.ReLU(inplace=True),
                nn.Dropout(config.dropout),
            )
        self.logit = nn.Linear(width, config.kinds)
        self.projection = (
            nn.Identity() if config.fused is None else nn.Linear(width, config.projection)
        )

    def sources(self) -> list[Source]:
        """What its statistics are joined from, in their order."""
        raise NotImplementedError

    def standardise_to(self, mean: Tensor, deviation: Tensor) -> None:
        """Set what brings the statistics to mean 0 and deviation 1: (D,) each."""
        self.mean.copy_(mean[self.columns])
        self.scale.copy_(1 / (deviation[self.columns] + 1e-6))

    def standard(self, statistics: Tensor) -> Tensor:
        """Of (N, D) statistics those (N, d) that the head looks at, standardised, within +-6."""
        standard = (statistics[:, self.columns].float() - self.mean) * self.scale
        return standard.clamp(-6, 6)

    def head(self, statistics: Tensor) -> ModelOutput:
        """From (N, D) statistics to logit and embedding."""
        with torch.autocast(device_type=statistics.device.type, enabled=False):
            fused = self.fusion(self.standard(statistics))
            return ModelOutput(
                mean_odds(self.logit(fused)), F.normalize(self.projection(fused), dim=1)
            )

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        return self.head(self.statistics(native))


def mean_odds(scores: Tensor) -> Tensor:
    """The log of the mean of the odds that (N, K) log odds stand for: (N,); with K = 1 the score.

    >>> mean_odds(torch.tensor([[0.0, math.log(3)]])).exp()
    tensor([2.])
    """
    return scores.logsumexp(dim=1) - math.log(scores.shape[1])
