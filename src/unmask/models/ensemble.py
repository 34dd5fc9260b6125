"""Several networks that look at the same pictures: a weighted sum, and experts it is raised to.

What one network memorised of the generators of its training another did not: their mean errs less
on the next generator (Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty
estimation using deep ensembles). An expert knows fakes of one kind whose traces point away from all
others': whoever sees more in a picture is heard, where a mean would let one cancel the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from unmask.errors import ShapeError
from unmask.models.output import ModelOutput
from unmask.models.statistics import StatisticsNet

NAME = "ensemble"


class MemberConfig(BaseModel):
    """A network of the registry, and its part.

    Attributes:
        architecture: its name there.
        config: its own configuration, where it differs from the registry's.
        expert: not a part of the sum; its logit is the ensemble's where it is the greater one.
        statistics_of: the member, 0-based and before it, whose frozen statistics it looks at: its
            own are the same, and are neither computed nor stored again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    config: dict[str, Any] = {}
    expert: bool = False
    statistics_of: int | None = Field(None, ge=0)


class EnsembleConfig(BaseModel):
    """Which networks there are.

    Attributes:
        members: the first is the one that the embedding is of, and no expert. Heatmaps are of it
            too, but where an expert decides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[MemberConfig, ...] = Field(
        (MemberConfig(architecture="airl_lite0"), MemberConfig(architecture="probe")), min_length=1
    )

    @model_validator(mode="after")
    def _parts(self) -> EnsembleConfig:
        if self.members[0].expert:
            raise ValueError("members: the first one is an expert, and a sum needs a part.")
        for number, member in enumerate(self.members):
            if member.statistics_of is not None and member.statistics_of >= number:
                raise ValueError(f"members: {number} looks at statistics of no earlier member.")
        return self


class Ensemble(nn.Module):
    """A weighted sum of its members' logits, or an expert's where that is greater.

    The embedding is the first member's.

    Args:
        config: kept in the checkpoint.
        members: the networks it names. One that looks at the statistics of another loses its own.

    Raises:
        ShapeError: a member is to look at statistics of one that has other ones, or none.

    Shape:
        `rgb` (N, 3, s, s) normalised and `native` (N, 3, n, n) in [0, 255], as every member takes
        them -> `ModelOutput`.
    """

    weight: Tensor
    bias: Tensor
    offset: Tensor

    def __init__(self, config: EnsembleConfig, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(members)
        self.summed = [n for n, member in enumerate(config.members) if not member.expert]
        self.experts = [n for n, member in enumerate(config.members) if member.expert]
        for number, member in enumerate(config.members):
            if member.statistics_of is not None:
                _leave_to(members[member.statistics_of], members[number], number)
        # buffers, since parameters are stored as float16
        self.register_buffer("weight", torch.full((len(members),), 1 / len(self.summed)))
        self.register_buffer("bias", torch.zeros(()))
        if self.experts:
            self.register_buffer("offset", torch.zeros(len(self.experts)))

    def weigh(self, weight: Sequence[float], bias: float, offset: Sequence[float] = ()) -> None:
        """Set what each logit is multiplied by, and what is added to the sum and to each expert's.

        Args:
            weight: of all members in their order.
            bias: of the sum.
            offset: of the experts in their order.

        Raises:
            ShapeError: not one weight for each member, or not one offset for each expert.
        """
        if len(weight) != len(self.members):
            raise ShapeError(f"{len(weight)} weights for {len(self.members)} members.")
        if len(offset) != len(self.experts):
            raise ShapeError(f"{len(offset)} offsets for {len(self.experts)} experts.")
        self.weight.copy_(torch.tensor(weight))
        self.bias.fill_(bias)
        if offset:
            self.offset.copy_(torch.tensor(offset))

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        found = self._asked(rgb, native)
        return ModelOutput(self._heard(found).amax(dim=1), found[0].embedding)

    def _heard(self, found: Sequence[ModelOutput]) -> Tensor:
        """The logits of which the greatest counts: (N, 1 + experts), the sum's first."""
        each = torch.stack([one.logit.float() for one in found], dim=1) * self.weight
        # no product of matrices, which autocast would round
        heard = each[:, self.summed].sum(dim=1, keepdim=True) + self.bias
        if self.experts:
            heard = torch.cat([heard, each[:, self.experts] + self.offset], dim=1)
        return heard

    def speakers(self, rgb: Tensor, native: Tensor) -> list[nn.Module]:
        """Whose word counts for one crop: the expert whose logit it is, or the parts of the sum.

        Args:
            rgb, native: (1, ...), as `forward` takes them.

        Returns:
            Networks that can be asked by themselves; their parameters are the ensemble's own.
        """
        with torch.no_grad():
            place = int(self._heard(self._asked(rgb, native))[0].argmax())
        numbers = [self.experts[place - 1]] if place else self.summed
        return [self._whole(number) for number in numbers]

    def _whole(self, number: int) -> nn.Module:
        """A member with what it looks at."""
        member, told = self.members[number], self.config.members[number]
        if told.statistics_of is None:
            return member
        owner = self.members[told.statistics_of]
        assert isinstance(owner, StatisticsNet)
        whole = copy(member)  # shares what it has, but for what is added here
        whole._modules = {**member._modules, "statistics": owner.statistics}
        return whole

    def _asked(self, rgb: Tensor, native: Tensor) -> list[ModelOutput]:
        """What each member says; statistics that several look at are taken once."""
        seen: dict[int, Tensor] = {}
        found: list[ModelOutput] = []
        for number, (told, member) in enumerate(
            zip(self.config.members, self.members, strict=True)
        ):
            if not isinstance(member, StatisticsNet):
                found.append(member(rgb, native))
                continue
            seen[number] = (
                member.statistics(native)
                if told.statistics_of is None
                else seen[told.statistics_of]
            )
            found.append(member.head(seen[number]))
        return found

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The first member's, where it has one."""
        found: tuple[nn.Module, Literal["rgb", "native"]] = self.members[0].cam_layer  # type: ignore[assignment]  # a property, for nn.Module a tensor
        return found


def _leave_to(owner: nn.Module, member: nn.Module, number: int) -> None:
    """Drop a member's statistics, which are those of `owner`.

    What a head takes out of them goes by `columns`, which fit those of one module only.
    """
    if not (
        isinstance(owner, StatisticsNet)
        and isinstance(member, StatisticsNet)
        and type(owner.statistics) is type(member.statistics)
    ):
        raise ShapeError(f"Member {number} cannot look at the statistics of the one it names.")
    member.statistics = nn.Identity()
