"""Optimisers and the learning rate's schedule, by name; sharpness-aware minimisation (SAM)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR

from unmask.errors import ConfigError
from unmask.training.config import OptimConfig

TINY = 1e-12
"""Added to the gradient's norm, so that a gradient of zero perturbs nothing."""


class SAM(torch.optim.SGD):
    """Sharpness-aware minimisation over SGD with momentum: Foret et al. 2021, eq. 2 and alg. 1.

    A step takes the gradient g at the weights w, goes to w + rho g / |g| with the norm over all
    parameters together, takes the gradient there, and lets SGD apply it at w. Weight decay, at w,
    belongs to SGD and not to the perturbation.

    Running statistics of batch normalisation follow the first pass only: the second sees weights
    that are never kept. Networks are normalised by the batch in both.

    Args:
        params: parameters or groups, as any optimiser takes them.
        lr, momentum, weight_decay: of SGD.
        rho: radius of the neighbourhood, > 0; 0.05 in the paper.
        model: whose batch normalisation is held still in the second pass; None where there is none.

    Attributes:
        perturbed: True while the second pass runs.

    Raises:
        ConfigError: rho not positive, or a step without a closure.

    >>> w = nn.Parameter(torch.tensor([3.0]))
    >>> sam = SAM([w], lr=0.1, momentum=0.0, rho=0.5)
    >>> def closure():
    ...     sam.zero_grad()
    ...     (loss := (w**2).sum() / 2).backward()
    ...     return loss
    >>> loss = float(sam.step(closure).detach())
    >>> loss, round(w.item(), 4)  # 3 - 0.1 (3 + 0.5)
    (4.5, 2.65)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        rho: float = 0.05,
        model: nn.Module | None = None,
    ) -> None:
        if rho <= 0:
            raise ConfigError(f"SAM's rho must be > 0; got {rho}.")
        super().__init__(params, lr, momentum=momentum, weight_decay=weight_decay)
        self.rho, self.model, self.perturbed = rho, model, False

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update.

        Args:
            closure: clears the gradients, computes the loss and its gradients, returns the loss;
                called twice.

        Returns:
            The loss at the weights, as the first call gave it.
        """
        if closure is None:
            raise ConfigError("SAM needs a closure: it computes the loss twice in a step.")
        with torch.enable_grad():
            loss = closure()
        kept = self._perturb()
        still = nullcontext() if self.model is None else statistics_held(self.model)
        try:
            self.perturbed = True
            self.zero_grad()
            with torch.enable_grad(), still:
                closure()
        finally:
            self.perturbed = False
            for parameter, value in kept:
                parameter.copy_(value)  # the bits that were, not w + e - e
        super().step()
        return loss

    def _perturb(self) -> list[tuple[Tensor, Tensor]]:
        """Move to w + rho g / |g|; the parameters that moved, each with what it was."""
        moved = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not moved:
            return []
        device, dtype = moved[0].device, torch.promote_types(moved[0].dtype, torch.float32)
        norms = [torch.linalg.vector_norm(p.grad, dtype=dtype).to(device) for p in moved]
        scale = self.rho / (torch.linalg.vector_norm(torch.stack(norms)) + TINY)
        kept = [(p, p.detach().clone()) for p in moved]
        for parameter in moved:
            parameter.add_(parameter.grad * scale.to(parameter))
        return kept


@contextmanager
def statistics_held(model: nn.Module) -> Iterator[None]:
    """Batch normalisation inside uses the batch's statistics, as in training, but keeps none."""
    held = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for module in held:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in held:
            module.track_running_stats = True


def build_optimiser(
    groups: list[dict[str, Any]], optim: OptimConfig, model: nn.Module
) -> torch.optim.Optimizer:
    """The optimiser that `optim.optimizer` names, over groups that bring their learning rates."""
    decay = optim.weight_decay
    if optim.optimizer == "adam":
        return torch.optim.Adam(groups, weight_decay=decay)
    if optim.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=decay)
    rate, momentum = optim.learning_rate, optim.momentum
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, rate, momentum=momentum, weight_decay=decay)
    return SAM(
        groups, rate, momentum=momentum, weight_decay=decay, rho=optim.rho, model=model
    )  # fmt: skip


def build_schedule(optimiser: torch.optim.Optimizer, optim: OptimConfig, total: int) -> LambdaLR:
    """Linear warm-up, then constant or a cosine to zero, over `total` steps."""
    warmup = int(optim.warmup_epochs * total / optim.epochs)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if not optim.cosine:
            return 1.0
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return 0.5 * (1 + float(np.cos(np.pi * progress)))

    return LambdaLR(optimiser, factor)


def parameter_groups(
    model: nn.Module, optim: OptimConfig, pretrained: bool
) -> list[dict[str, Any]]:
    """All parameters; a pretrained RGB backbone (`model.rgb`) has its own, lower rate."""
    rate = optim.learning_rate
    backbone = getattr(model, "rgb", None)
    if backbone is None or not pretrained:
        return [{"params": list(model.parameters()), "lr": rate}]
    slow = list(backbone.parameters())
    known = {id(p) for p in slow}
    rest = [p for p in model.parameters() if id(p) not in known]
    return [
        {"params": slow, "lr": rate * optim.backbone_lr_factor},
        {"params": rest, "lr": rate},
    ]
