"""The Lightning module of both stages: autoencoder against discriminator, every loss by its name.

Du et al. 2020, "Towards generalizable deepfake detection with locality-aware autoencoder": stage 1
minimises reconstruction (pixel, perceptual, adversarial) and latent losses, stage 2 adds the
attention loss on pictures that have a mask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from unmask.losses import (
    PerceptualLoss,
    adversarial_discriminator,
    adversarial_generator,
    attention,
    latent_activation,
)
from unmask.metrics.ranking import auc
from unmask.models.discriminator import Discriminator
from unmask.models.lae import LAE, LAEOutput
from unmask.training.lae.config import Losses, StageTwo
from unmask.training.lae.data import MaskedBatches
from unmask.training.module import Scores
from unmask.transforms.preprocess import normalise


class LAEModule(L.LightningModule):
    """One stage.

    Args:
        model: the autoencoder; in stage 2 as stage 1 left it.
        discriminator: likewise; None without the adversarial loss.
        perceptual: None without that loss.
        losses: weights.
        stage_two: of the attention loss; None in stage 1.
        rates: learning rates of autoencoder and discriminator.
        batches: of training.
        scorer: model -> scores of the validation pictures (`training.module.score_sets`).
        show: called with the model and the epoch after each; writes the sample grid.
        workers: loader processes.

    Logs `train/NAME` of every loss, unweighted, `train/total` (weighted, what the autoencoder
    minimises), `val/auc` and `val/balanced_accuracy` at logit 0, where the larger half wins, and
    `map/empty_fakes`: the share of fakes whose rectified map is zero everywhere, so that no
    gradient of the attention loss comes through.
    """

    def __init__(
        self,
        model: LAE,
        discriminator: Discriminator | None,
        perceptual: PerceptualLoss | None,
        *,
        losses: Losses,
        stage_two: StageTwo | None,
        rates: tuple[float, float],
        batches: MaskedBatches,
        scorer: Callable[[nn.Module], Scores],
        show: Callable[[LAE, int], None],
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # two optimisers that take turns
        for network in (model, discriminator):  # twice as fast on a processor
            if network is not None:
                network.to(memory_format=torch.channels_last)
        self.model, self.discriminator = model, discriminator
        self.frozen = [perceptual]  # in a list: its weights are none of the checkpoint's
        self.losses, self.stage_two, self.rates = losses, stage_two, rates
        self.batches, self.scorer, self.show, self.workers = batches, scorer, show, workers

    def train_dataloader(self) -> Any:
        """Called anew for every epoch, also for the one that a resumed run begins with."""
        self.batches.set_epoch(self.current_epoch)
        return DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(len(self.batches)),
            num_workers=self.workers,
            generator=torch.Generator(),
        )

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        optimisers = self.optimizers()
        generator, judge = optimisers if isinstance(optimisers, list) else (optimisers, None)
        paired = self.batches.batch
        rgb = normalise(batch["rgb"].permute(0, 3, 1, 2).float(), self.batches.spec)
        output = self.model.reconstruct(rgb, batch["label"])
        assert output.reconstruction is not None
        pictures, rebuilt = rgb[:paired], output.reconstruction[:paired].float()
        parts: dict[str, Tensor] = {}
        if judge is not None:
            parts["discriminator"] = self._judge(judge, pictures, rebuilt)
        total = self._generator_losses(parts, pictures, rebuilt, output, batch, paired)
        generator.zero_grad()
        self.manual_backward(total)
        generator.step()
        for name, value in {**parts, "total": total}.items():
            kept = value.detach()
            self.log(f"train/{name}", kept, on_step=False, on_epoch=True, batch_size=paired)
        empty = (output.map[:paired].detach().amax((1, 2)) <= 0)[batch["label"][:paired] == 1]
        self.log("map/empty_fakes", empty.float().mean(), on_step=False, on_epoch=True,
                 batch_size=paired)  # fmt: skip
        self.log("loss", total.detach(), prog_bar=True, logger=False, batch_size=paired)

    def _judge(self, optimiser: Any, pictures: Tensor, rebuilt: Tensor) -> Tensor:
        """A step of the discriminator; its weights are then at rest until the next batch."""
        assert self.discriminator is not None
        self.discriminator.requires_grad_(True)
        loss = adversarial_discriminator(
            self.discriminator(pictures).float(), self.discriminator(rebuilt.detach()).float()
        )
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()
        self.discriminator.requires_grad_(False)
        return loss

    def _generator_losses(
        self,
        parts: dict[str, Tensor],
        pictures: Tensor,
        rebuilt: Tensor,
        output: LAEOutput,
        batch: dict[str, Tensor],
        paired: int,
    ) -> Tensor:
        """Fill `parts` with every loss, unweighted; returns the weighted sum."""
        perceptual, weights = self.frozen[0], self.losses
        labels = batch["label"]
        terms = {"latent": weights.latent}
        parts["latent"] = latent_activation(output.activations[:paired], labels[:paired])
        if weights.pixel:
            terms["pixel"] = weights.pixel
            parts["pixel"] = F.mse_loss(rebuilt, pictures)
        if perceptual is not None:
            terms["perceptual"] = weights.perceptual
            parts["perceptual"] = perceptual.to(self.device)(pictures, rebuilt)
        if self.discriminator is not None:
            terms["adversarial"] = weights.adversarial
            parts["adversarial"] = adversarial_generator(self.discriminator(rebuilt).float())
        stage = self.stage_two
        if stage is not None and stage.attention:
            terms["attention"] = stage.attention
            parts["attention"] = attention(
                output.map,
                batch["mask"],
                batch["has_mask"],
                labels=labels,
                quiet_reals=stage.quiet_reals,
                normalisation=stage.attention_scale,
            )
        return torch.stack([weight * parts[name] for name, weight in terms.items()]).sum()

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Scores all validation pictures, which are of the trained manipulations, at once."""
        with torch.autocast(self.device.type, enabled=False):
            logits, labels = joined(self.scorer(self.model))
        self.log("val/auc", auc(labels, logits), prog_bar=True, batch_size=1)
        right = [np.mean((logits[labels == c] > 0) == c) for c in (0, 1)]
        self.log("val/balanced_accuracy", float(np.mean(right)), batch_size=1)
        self.show(self.model, self.current_epoch)

    def configure_optimizers(self) -> Any:
        rate, judging = self.rates
        optimisers = [torch.optim.Adam(self.model.parameters(), lr=rate)]
        if self.discriminator is not None:
            weights = self.discriminator.parameters()
            optimisers.append(torch.optim.Adam(weights, lr=judging, betas=(0.5, 0.999)))
        return optimisers


def joined(scores: Scores) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Logits (N,) and labels (N,) of all sets."""
    logits = np.concatenate([values for values, _ in scores.values()])
    labels = np.concatenate([np.full(len(v), item.label) for v, item in scores.values()])
    return logits, labels
