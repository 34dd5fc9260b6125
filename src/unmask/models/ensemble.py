"""Several networks that look at the same pictures, and a weighted sum of what they say.

What one network memorised of the generators of its training another did not: their mean errs less
on the next generator (Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty
estimation using deep ensembles).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.errors import ShapeError
from unmask.models.output import ModelOutput

NAME = "ensemble"


class MemberConfig(BaseModel):
    """A network of the registry, and its own configuration where it differs from the registry's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    config: dict[str, Any] = {}


class EnsembleConfig(BaseModel):
    """Which networks there are.

    Attributes:
        members: the first is the one that heatmaps and the embedding are of.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[MemberConfig, ...] = Field(
        (MemberConfig(architecture="airl_lite0"), MemberConfig(architecture="probe")), min_length=1
    )


class Ensemble(nn.Module):
    """A weighted sum of its members' logits, and the first one's embedding.

    Args:
        config: kept in the checkpoint.
        members: the networks it names.

    Shape:
        `rgb` (N, 3, s, s) normalised and `native` (N, 3, n, n) in [0, 255], as every member takes
        them -> `ModelOutput`.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, config: EnsembleConfig, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(members)
        # buffers, since parameters are stored as float16
        self.register_buffer("weight", torch.full((len(members),), 1 / len(members)))
        self.register_buffer("bias", torch.zeros(()))

    def weigh(self, weight: Sequence[float], bias: float) -> None:
        """Set what each member's logit counts, and what is added to their sum.

        Raises:
            ShapeError: not one weight for each member.
        """
        if len(weight) != len(self.members):
            raise ShapeError(f"{len(weight)} weights for {len(self.members)} members.")
        self.weight.copy_(torch.tensor(weight))
        self.bias.fill_(bias)

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        found = [member(rgb, native) for member in self.members]
        logits = torch.stack([one.logit.float() for one in found], dim=1)
        # no product of matrices, which autocast would round
        logit = (logits * self.weight).sum(dim=1) + self.bias
        return ModelOutput(logit, found[0].embedding)

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The first member's, where it has one."""
        found: tuple[nn.Module, Literal["rgb", "native"]] = self.members[0].cam_layer  # type: ignore[assignment]  # a property, for nn.Module a tensor
        return found
