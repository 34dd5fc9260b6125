"""One training run in several processes: who one is among them, and what all of them hold.

Each process takes its share of every batch. Two things need the batch whole: the contrastive loss,
which compares all pictures with all, and batch normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True, slots=True)
class Share:
    """This process's place: `rank` of `world` processes."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the process that writes files and speaks."""
        return self.rank == 0


_here = Share()


def share() -> Share:
    """This process's place in the run; the only one unless `take` said otherwise."""
    return _here


def take(place: Share) -> None:
    """Make this process one of several; once, before anything else."""
    global _here
    _here = place


class _Gather(torch.autograd.Function):
    """All processes' tensors; the gradient is the sum of what all of them do with one's own."""

    @staticmethod
    def forward(ctx: object, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole[dist.get_rank()]


def gathered(own: Tensor) -> Tensor:
    """What all processes hold, in the order of their ranks; `own` must have one shape in all.

    The gradient sums over the processes, so a loss that every process computes of the whole gives
    `world` times its gradient, and the mean over processes, which parallel training takes, gives
    the gradient itself.

    Args:
        own: (...) of this process, float32 or integer.

    Returns:
        (world, ...); alone (1, ...).
    """
    if not (dist.is_available() and dist.is_initialized()):
        return own[None]
    result: Tensor = _Gather.apply(own)
    return result


class GatheredBatchNorm(_BatchNorm):
    """Batch normalisation over all processes' pictures, on any device.

    PyTorch's own (`SyncBatchNorm`) refuses a CPU. Mean and variance of the shares, which are of
    one size, are combined as in Chan et al. 1983, so this is `BatchNorm` of the whole batch up to
    rounding, running statistics included. In eval mode it is `BatchNorm`.

    Args:
        like: the layer whose place it takes; an activation fused into it comes along.
    """

    def __init__(self, like: _BatchNorm) -> None:
        super().__init__(
            like.num_features, like.eps, like.momentum, like.affine, like.track_running_stats
        )
        self.load_state_dict(like.state_dict(), strict=False)
        self.drop = getattr(like, "drop", nn.Identity())
        self.act = getattr(like, "act", nn.Identity())

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        normal = self._whole(input) if self.training else super().forward(input)
        result: Tensor = self.act(self.drop(normal))
        return result

    def _whole(self, input: Tensor) -> Tensor:
        wide, others = input.float(), [0, *range(2, input.ndim)]
        column = (1, -1, *(1,) * (input.ndim - 2))
        mean = wide.mean(others)
        variance = (wide - mean.view(column)).square().mean(others)
        means, variances = gathered(torch.stack([mean, variance])).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach(), wide[:, 0].numel() * len(means))
        normal = (wide - mean.view(column)) * torch.rsqrt(variance + self.eps).view(column)
        if self.affine:
            normal = normal * self.weight.view(column) + self.bias.view(column)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        kept = self.momentum
        factor = 1 / float(self.num_batches_tracked) if kept is None else kept
        self.running_mean.lerp_(mean, factor)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), factor)


def synchronised(model: nn.Module, device: str) -> nn.Module:
    """The network with batch normalisation over all processes; names of its tensors stay.

    Args:
        model: changed in place, or replaced where it is itself such a layer.
        device: type of device it will be trained on; a GPU gets PyTorch's fused layers.
    """
    if device == "cuda":
        from timm.layers import convert_sync_batchnorm

        converted: nn.Module = convert_sync_batchnorm(model)
        return converted
    if isinstance(model, _BatchNorm):
        return GatheredBatchNorm(model)
    for name, child in model.named_children():
        setattr(model, name, synchronised(child, device))
    return model
