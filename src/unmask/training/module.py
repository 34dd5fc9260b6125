"""The Lightning module: cross-entropy plus contrastive loss, judged on validation families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unmask.data.dataset import ScoringSet
from unmask.losses import supervised_contrastive
from unmask.metrics.ranking import auc
from unmask.models.checkpoint import predict
from unmask.training.config import OptimConfig
from unmask.transforms.preprocess import InputSpec, normalise, to_tensors

Scores = dict[str, tuple[NDArray[np.float64], ScoringSet]]
"""Name of a scoring set -> its logits (N,) and the set."""


class DetectorModule(L.LightningModule):
    """Trains any network of the registry that returns a logit and an embedding.

    Args:
        model: the network.
        spec: its input contract, with the training window as native size.
        optim: losses and optimiser.
        batches: epoch -> its loader of training pairs.
        scorer: logits of the validation sets, called after every epoch; `real` among them.
        beside: generator -> sources of the reals it is compared with.
        select: families whose mean AUC is logged as `val/auc` and selects the checkpoint.
        seed: with the epoch, of dropout.
        pretrained: the RGB backbone gets its own, lower learning rate.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: InputSpec,
        optim: OptimConfig,
        batches: Callable[[int], Any],
        scorer: Callable[[nn.Module], Scores],
        beside: Mapping[str, Sequence[str]],
        select: Sequence[str],
        *,
        seed: int = 0,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.spec, self.optim = spec, optim
        self.batches, self.scorer = batches, scorer
        self.beside, self.select = beside, list(select)
        self.seed, self.pretrained = seed, pretrained

    def train_dataloader(self) -> Any:
        """Called anew for every epoch, also for the one that a resumed run begins with.

        Dropout is seeded here because Lightning skips `on_train_epoch_start` when it resumes.
        """
        torch.manual_seed(epoch_seed(self.seed, self.current_epoch))
        return self.batches(self.current_epoch)

    def _forward(self, batch: dict[str, Tensor]) -> Any:
        if "statistics" in batch:
            return self.model.head(batch["statistics"].flatten(0, 1))  # type: ignore[operator]  # RichNet
        pixels = {
            name: batch[name].flatten(0, 1).permute(0, 3, 1, 2).float()
            for name in ("native", "rgb")
            if name in batch
        }
        rgb = normalise(pixels.get("rgb", pixels["native"]), self.spec)
        return self.model(rgb.contiguous(memory_format=torch.channels_last), pixels["native"])

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        labels = batch["label"].flatten()
        output = self._forward(batch)
        entropy = F.binary_cross_entropy_with_logits(output.logit, labels.float())
        loss = entropy
        self._log_epoch("train/cross_entropy", entropy, len(labels))
        if self.optim.contrastive_weight:
            contrast = supervised_contrastive(
                output.embedding,
                labels,
                temperature=self.optim.temperature,
                positives=self.optim.positives,
            )
            self._log_epoch("train/contrastive", contrast, len(labels))
            loss = entropy + self.optim.contrastive_weight * contrast
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=len(labels))
        self._log_epoch("train/loss", loss, len(labels))
        return loss

    def _log_epoch(self, name: str, value: Tensor, size: int) -> None:
        """Into the log: the mean over an epoch."""
        self.log(name, value, on_step=False, on_epoch=True, batch_size=size)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Scores all sets at once: they are small, and AUC needs them whole."""
        aucs = family_aucs(self.scorer(self.model), self.beside)
        for name, value in aucs.items():
            self.log(f"val/auc/{name}", value, batch_size=1)
        chosen = float(np.mean([aucs[name] for name in self.select]))
        self.log("val/auc", chosen, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        groups = self._parameter_groups()
        optimiser = torch.optim.Adam(groups, weight_decay=self.optim.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        warmup = int(self.optim.warmup_epochs * total / self.optim.epochs)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            if not self.optim.cosine:
                return 1.0
            progress = min(1.0, (step - warmup) / max(1, total - warmup))
            return 0.5 * (1 + float(np.cos(np.pi * progress)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        rate = self.optim.learning_rate
        backbone = getattr(self.model, "rgb", None)
        if backbone is None or not self.pretrained:
            return [{"params": list(self.model.parameters()), "lr": rate}]
        slow = list(backbone.parameters())
        known = {id(p) for p in slow}
        rest = [p for p in self.model.parameters() if id(p) not in known]
        return [
            {"params": slow, "lr": rate * self.optim.backbone_lr_factor},
            {"params": rest, "lr": rate},
        ]


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed of all that is random in one epoch, so that a resumed run repeats it."""
    return seed * 100_003 + epoch


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside, the former mode after."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def score_sets(
    model: nn.Module, sets: Sequence[ScoringSet], spec: InputSpec, *, batch: int = 32
) -> Scores:
    """Logits of every set, through the same path as in scanning."""
    device = str(next(model.parameters()).device)
    scored = {}
    with evaluating(model):
        for item in sets:
            logits = [
                predict(model, to_tensors(item.views[i : i + batch], spec), device=device)[0]
                for i in range(0, len(item.views), batch)
            ]
            scored[item.name] = (np.concatenate(logits), item)
    return scored


def family_aucs(scored: Scores, beside: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """AUC of each set of fakes against the reals beside it: of the same sources, or as given."""
    result = {}
    for name, (logits, item) in scored.items():
        if item.label == 1:
            mine, _ = reals_beside(scored, name, beside)
            labels = np.r_[np.zeros(len(mine)), np.ones(len(logits))]
            result[name] = auc(labels, np.r_[mine, logits])
    return result


def reals_beside(
    scored: Scores, family: str, beside: Mapping[str, Sequence[str]]
) -> tuple[NDArray[np.float64], list[str]]:
    """Logits and identities of the reals that a family's fakes are compared with.

    Those of the sources in `beside`, else of the fakes' own sources, else (a generator whose
    sources have no reals, and nothing said) all.
    """
    logits, real = scored["real"]
    sources = set(beside.get(family, scored[family][1].sources))
    chosen = [i for i, source in enumerate(real.sources) if source in sources]
    chosen = chosen or list(range(len(logits)))
    return logits[chosen], [real.identities[i] for i in chosen]
