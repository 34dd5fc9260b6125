"""The Lightning module: cross-entropy plus contrastive loss, judged on validation families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unmask.data.scoring import ScoringSet
from unmask.losses import am_softmax, attention, supervised_contrastive
from unmask.metrics.ranking import auc
from unmask.models.checkpoint import predict
from unmask.models.crew import Crew
from unmask.training.config import OptimConfig
from unmask.training.optim import SAM, TINY, build_optimiser, build_schedule, parameter_groups
from unmask.training.share import gathered, share
from unmask.transforms.preprocess import InputSpec, Views, normalise, to_tensors

Scores = dict[str, tuple[NDArray[np.float64], ScoringSet]]
"""Name of a scoring set -> its logits (N,) and the set."""


Embeddings = dict[str, NDArray[np.float32]]
"""Name of a scoring set -> the embeddings (N, D) of its views."""


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
        self.layout = torch.channels_last if optim.channels_last else torch.contiguous_format
        self.model = model.to(memory_format=self.layout)
        self.held: list[tuple[dict[str, Tensor], int]] = []
        self.spec, self.optim = spec, optim
        self.batches, self.scorer = batches, scorer
        self.beside, self.select = beside, list(select)
        self.seed, self.pretrained = seed, pretrained

    def train_dataloader(self) -> Any:
        """Called anew for every epoch, also for the one that a resumed run begins with.

        Dropout is seeded here because Lightning skips `on_train_epoch_start` when it resumes. Each
        process has masks of its own, so with dropout more processes are another draw of it.
        """
        torch.manual_seed(epoch_seed(self.seed, self.current_epoch) + (share().rank << 40))
        return self.batches(self.current_epoch)

    def _forward(self, batch: dict[str, Tensor]) -> tuple[Any, Tensor | None]:
        """The network's output and, where there is a loss for it, its attention map (N, h, w)."""
        if "statistics" in batch:
            return self.model.head(batch["statistics"].flatten(0, 1)), None  # type: ignore[operator]  # StatisticsNet
        pixels = {
            name: batch[name].flatten(0, 1).permute(0, 3, 1, 2).float()
            for name in ("native", "rgb")
            if name in batch
        }
        rgb = normalise(pixels.get("rgb", pixels["native"]), self.spec)
        native = pixels["native"].contiguous(memory_format=self.layout)
        rgb = rgb.contiguous(memory_format=self.layout)
        if self.optim.attention_weight:
            return self.model.with_attention(rgb, native)  # type: ignore[operator, no-any-return]  # AIRL, see TrainConfig
        return self.model(rgb, native), None

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        labels = batch["label"].flatten()
        output, maps = self._forward(batch)
        loss = self._classification(output.logit, labels)
        parts: dict[str, Tensor] = {self.optim.loss: loss}
        if self.optim.contrastive_weight:
            parts["contrastive"] = supervised_contrastive(
                gathered(output.embedding.float()).flatten(0, 1),
                gathered(labels).flatten(),
                temperature=self.optim.temperature,
                positives=self.optim.positives,
            )
            loss = loss + self.optim.contrastive_weight * parts["contrastive"]
        if maps is not None:
            parts["attention"] = self._attention(maps, batch)
            loss = loss + self.optim.attention_weight * parts["attention"]
        if self._first_pass():
            if self.optim.optimizer == "sam" and self.optim.accumulate > 1:
                self.held.append((batch, batch_index))
            for name, value in parts.items():
                self._log_epoch(f"train/{name}", value, len(labels))
            self.log("loss", loss, prog_bar=True, logger=False, batch_size=len(labels))
            self._log_epoch("train/loss", loss, len(labels))
        return loss

    def _classification(self, logit: Tensor, labels: Tensor) -> Tensor:
        if self.optim.loss == "am_softmax":
            scale = self.model.config.scale  # type: ignore[union-attr]  # SRMNet, see TrainConfig
            return am_softmax(logit, labels, scale=scale)  # type: ignore[arg-type]
        return F.binary_cross_entropy_with_logits(logit, labels.float())

    def _attention(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Of the pictures that have a mask; the mean over processes is that of all of them."""
        masks, known = batch["mask"].flatten(0, 1) / 255, batch["has_mask"].flatten()
        count = known.sum().float()
        mine = count / gathered(count).mean().clamp_min(TINY)
        return attention(maps, masks, known) * mine

    def _log_epoch(self, name: str, value: Tensor, size: int) -> None:
        """Into the log: the mean over an epoch and all processes."""
        together = share().world > 1
        self.log(name, value, on_step=False, on_epoch=True, batch_size=size, sync_dist=together)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Scores all sets at once: they are small, and AUC needs them whole.

        Of several processes the first scores and tells the others, so that all keep the same epoch.
        """
        mine = family_aucs(self.scorer(self.model), self.beside) if share().first else {}
        aucs = self.trainer.strategy.broadcast(mine)
        for name, value in aucs.items():
            self.log(f"val/auc/{name}", value, batch_size=1)
        chosen = float(np.mean([aucs[name] for name in self.select]))
        self.log("val/auc", chosen, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self.model, self.optim, self.pretrained)
        optimiser = build_optimiser(groups, self.optim, self.model)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(optimiser, self.optim, total)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """SAM's second pass goes through all parts of a batch; Lightning's closure knows the last.

        Each part but the last is put through here again, with the same share of the gradient.
        """
        assert optimizer_closure is not None  # automatic optimisation brings one
        last = optimizer_closure

        def closure() -> Any:
            if not self._first_pass():
                for batch, index in self.held[:-1]:
                    loss = self.trainer.strategy.training_step(batch, index)
                    assert isinstance(loss, Tensor)
                    self.trainer.strategy.backward(loss / self.optim.accumulate, optimizer)
            return last()

        optimizer.step(closure=closure)
        self.held.clear()

    def _first_pass(self) -> bool:
        """False in SAM's second pass, whose loss is none of the weights and is not logged."""
        optimiser = self.optimizers(use_pl_optimizer=False)
        return not (isinstance(optimiser, SAM) and optimiser.perturbed)


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
    return embed_sets(model, sets, spec, batch=batch)[0]


def embed_sets(
    model: nn.Module, sets: Sequence[ScoringSet], spec: InputSpec, *, batch: int = 32
) -> tuple[Scores, Embeddings]:
    """Logits and embeddings of every set, through the same path as in scanning."""
    device = str(next(model.parameters()).device)
    scored: Scores = {}
    embedded: Embeddings = {}
    crew = Crew(device)

    def part(views: Sequence[Views], start: int) -> tuple[NDArray[Any], NDArray[Any]]:
        return predict(model, to_tensors(views[start : start + batch], spec), device=device)

    with evaluating(model):
        for item in sets:
            found = crew.map(partial(part, item.views), range(0, len(item.views), batch))
            logits, embeddings = zip(*found, strict=True)
            scored[item.name] = (np.concatenate(logits), item)
            embedded[item.name] = np.concatenate(embeddings)
    return scored, embedded


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
