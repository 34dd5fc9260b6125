"""The two stages of the LAE: from a configuration file to weights with their card.

    OUT/stage-1/   weights, discriminator and record of stage 1, with its sample grids
    OUT/masks/     the mask store that stage 2 takes its masks from
    OUT/stage-2/   the same of stage 2
    OUT/NAME.safetensors, OUT/NAME.json   the result

A stage whose `done.json` is there is not trained again; one that was killed goes on from its last
finished epoch, to the same result.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

import unmask
from unmask.data.annotation.masks import Mask
from unmask.data.atomic import replace_text, replacing
from unmask.data.scoring import scoring_sets
from unmask.errors import ConfigError
from unmask.losses.perceptual import build_perceptual
from unmask.models.checkpoint import Card, load_checkpoint, save_checkpoint
from unmask.models.discriminator import Discriminator
from unmask.models.lae import LAE
from unmask.training.card import commit
from unmask.training.checks import check_bfloat16
from unmask.training.decision import fit_decision_on
from unmask.training.lae.choice import ask_oracle, chosen_pictures
from unmask.training.lae.config import (
    KIND,
    ORACLE,
    LAETrainConfig,
    load_lae_config,
)
from unmask.training.lae.data import VAL, Corpus, MaskedBatches, picture_seen, stored_masks
from unmask.training.lae.fitting import fit
from unmask.training.lae.module import LAEModule
from unmask.training.lae.samples import sample_grid, write_picture
from unmask.training.lae.source import resolve_data
from unmask.training.module import score_sets
from unmask.training.run import LEAST_REALS
from unmask.transforms.preprocess import to_views

WEIGHTS, JUDGE, DONE, BEGUN = (
    "weights.safetensors", "discriminator.safetensors", "done.json", "begun.json",
)  # fmt: skip
SHOWN = 6
"""Validation pictures in a sample grid, at most."""


class Done(BaseModel):
    """What is known of a finished stage.

    Attributes:
        key: hash of all that decided it.
        val_auc, best_epoch: of the checkpoint that validation chose; epochs from 0.
        seconds: since its last start.
        masks: how many marked something.
        left_out: answers of the store that could not be used: reason -> how many.
        tensors_sha256: of its weights, the same for the same numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    val_auc: float
    best_epoch: int
    seconds: float
    masks: int = 0
    left_out: dict[str, int] = {}
    tensors_sha256: str


@dataclass(frozen=True)
class Work:
    """What both stages of one seed share."""

    config: LAETrainConfig
    corpus: Corpus
    seed: int

    def first(self, folder: Path) -> Done:
        """Stage 1, into `folder`.

        Raises:
            ConfigError: the folder holds another run, or VGG16's weights cannot be had.
        """
        return self._stage(folder, self._key(self.config.sha256(first=True)), None, {}, {})

    def second(
        self,
        folder: Path,
        first: Path,
        masks: Mapping[int, Mask],
        left_out: Mapping[str, int] | None = None,
    ) -> Done:
        """Stage 2, into `folder`, from the stage 1 in `first`.

        Args:
            masks: place in the crops -> (S, S) bool in the crop's pixels; none for the control
                without masks.
            left_out: for the record.

        Raises:
            ConfigError: `folder` holds another run, or `first` no finished one.
        """
        begin = read_done(first)
        if begin is None:
            raise ConfigError(f"{first} holds no finished stage 1.", "Train it first.")
        digest = hashlib.sha256(begin.tensors_sha256.encode())
        for place in sorted(masks):
            digest.update(f"{place} ".encode() + np.packbits(masks[place]).tobytes())
        key = self._key(self.config.sha256(), digest.hexdigest())
        return self._stage(folder, key, first, masks, left_out or {})

    def choose(self, first: Path, store: Path) -> None:
        """Select by the configured rule and let the data set's own masks answer, into `store`."""
        model, _ = load_lae(first)
        rule, budget = self.config.selection.rule, self.config.selection.budget
        pictures = chosen_pictures(
            model, self.config.input(), self.corpus, rule, budget, seed=self.seed
        )
        ask_oracle(store, pictures)

    def _key(self, *parts: str) -> str:
        text = " ".join((*parts, self.corpus.crops.key, str(self.seed)))
        return hashlib.sha256(text.encode()).hexdigest()

    def _stage(
        self,
        folder: Path,
        key: str,
        first: Path | None,
        masks: Mapping[int, Mask],
        left_out: Mapping[str, int],
    ) -> Done:
        done = read_done(folder)
        if done is not None and done.key == key:
            return done
        _begin(folder, key)
        started = time.perf_counter()
        module = self._module(folder, first, masks)
        stage = self.config.stage_one if first is None else self.config.stage_two
        best, kept = fit(module, stage.epochs, folder, self.config.precision)
        _load(module, best)
        save_checkpoint(folder / WEIGHTS, module.model, self._card(folder.name))
        if module.discriminator is not None:
            _save(folder / JUDGE, module.discriminator.state_dict())
        done = Done(
            key=key,
            val_auc=kept.auc,
            best_epoch=kept.epoch,
            seconds=round(time.perf_counter() - started, 1),
            masks=sum(bool(mask.any()) for mask in masks.values()),
            left_out=dict(left_out),
            tensors_sha256=tensors_sha256(module.model.state_dict()),
        )
        replace_text(folder / DONE, done.model_dump_json(indent=1) + "\n")
        for checkpoint in folder.glob("*.ckpt"):  # large, and of no more use
            checkpoint.unlink()
        return done

    def _module(self, folder: Path, first: Path | None, masks: Mapping[int, Mask]) -> LAEModule:
        config, losses, spec = self.config, self.config.losses, self.config.input()
        L.seed_everything(self.seed, workers=True, verbose=False)
        model = LAE(config.network())
        judge = None
        if losses.adversarial:
            judge = Discriminator(config.data.side, losses.discriminator_width)
        if first is not None:
            model.load_state_dict(load_file(first / WEIGHTS))
            if judge is not None:
                judge.load_state_dict(load_file(first / JUDGE))
        perceptual = build_perceptual(
            losses.source, layers=losses.perceptual_layers, seed=self.seed
        )
        one, two = config.stage_one, config.stage_two
        batches = MaskedBatches(
            self.corpus,
            spec,
            masks,
            batch=one.batch_size,
            extra=two.masked_batch,
            seed=2 * self.seed + (first is not None),  # stage 2 draws anew
            quality=config.data.jpeg_quality,
            own=config.data.own,
        )
        sets = scoring_sets(self.corpus.crops, spec, VAL, forged=False, controls={})
        return LAEModule(
            model,
            judge,
            perceptual,
            losses=losses,
            stage_two=None if first is None else two,
            rates=(one.learning_rate if first is None else two.learning_rate,
                   one.discriminator_rate),
            batches=batches,
            scorer=lambda current: score_sets(current, sets, spec),
            show=self._shower(folder),
            workers=config.data.workers,
        )  # fmt: skip

    def _shower(self, folder: Path) -> Any:
        """Writes FOLDER/samples/epoch-N.png: validation fakes, the last row a real."""
        corpus, spec = self.corpus, self.config.input()
        fakes, reals = corpus.places(VAL, 1), corpus.places(VAL, 0)
        step = max(1, len(fakes) // (SHOWN - 1))
        places = [*fakes[::step][: SHOWN - 1], reals[0]]
        views = np.stack([picture_seen(to_views(corpus.crops.image(p), spec)) for p in places])
        masks = [corpus.own_mask_seen(place, spec) for place in places]

        def show(model: LAE, epoch: int) -> None:
            grid = sample_grid(model, spec, views, masks)
            write_picture(folder / "samples" / f"epoch-{epoch:03}.png", grid)

        return show

    def _card(self, name: str) -> Card:
        config = self.config
        return Card(
            name=f"{config.name}-{name}",
            architecture=KIND,
            config=config.network().model_dump(mode="json"),
            input=config.input(),
            licence=config.licence,
            limitations=config.limitations,
            training={"seed": self.seed},
        )


def read_done(folder: Path) -> Done | None:
    """The record of a finished stage; None where it is not finished."""
    try:
        return Done.model_validate_json((folder / DONE).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ConfigError(
            f"{folder / DONE} is damaged.", f"Delete {folder}; the stage is trained anew then."
        ) from error


def load_lae(folder: Path) -> tuple[LAE, Card]:
    """The network of a finished stage, in eval mode."""
    model, card = load_checkpoint(folder / WEIGHTS)
    assert isinstance(model, LAE)
    return model, card


def check_precision(config: LAETrainConfig) -> None:
    """Refuse, before faces are cut out, what this machine cannot compute in.

    Raises:
        ConfigError: bfloat16 on a GPU that has none.
    """
    check_bfloat16(config.precision, "precision", "32-true")


def train_lae(
    config_path: Path,
    *,
    out: Path,
    index: Path | None = None,
    resume: bool = False,
) -> Path:
    """Both stages as a configuration says, with its first seed.

    Args:
        config_path: YAML with `kind: lae`.
        out: folder of this run; face crops are kept in `cache` beside it.
        index: instead of the configuration's, where one index is enough.
        resume: go on with what `out` holds.

    Returns:
        Path of the weights.

    Raises:
        ConfigError: a configuration that cannot work, or an `out` that holds another run.
        DatasetError: the index cannot be used.
    """
    config = load_lae_config(config_path)
    check_precision(config)
    if not resume and any(out.glob("stage-*/*")):
        raise ConfigError(
            f"{out} already holds a run.", "Continue it with --resume, or choose another --out."
        )
    corpus = Corpus.of(resolve_data(config.data, index), out.parent / "cache")
    if len(corpus.places(VAL, 0)) < LEAST_REALS:
        raise ConfigError(
            f"The index has {len(corpus.places(VAL, 0))} validation reals with a face; thresholds "
            f"need at least {LEAST_REALS}."
        )
    work = Work(config, corpus, config.seeds[0])
    first = work.first(out / "stage-1")
    _say(f"stage 1: validation AUC {first.val_auc:.3f} in epoch {first.best_epoch}")
    store = Path(config.selection.store)
    if config.selection.store == ORACLE:
        store = out / "masks"
        if read_done(out / "stage-2") is None:
            work.choose(out / "stage-1", store)
    found = stored_masks(store, corpus, config.input())
    _say(f"masks: {found.count}" + "".join(f"; {n} {why}" for why, n in found.left_out.items()))
    second = work.second(out / "stage-2", out / "stage-1", found.masks, found.left_out)
    _say(f"stage 2: validation AUC {second.val_auc:.3f} in epoch {second.best_epoch}")
    return _finish(work, out, first, second)


def _finish(work: Work, out: Path, first: Done, second: Done) -> Path:
    """Weights with their card and decision, from the result of stage 2."""
    config, spec = work.config, work.config.input()
    model, card = load_lae(out / "stage-2")
    sets = scoring_sets(work.corpus.crops, spec, VAL, forged=False)
    families = [s.name for s in sets if s.label == 1]
    said = json.loads(config.model_dump_json(exclude={"data": {"indices"}}))
    card = card.model_copy(
        update={
            "name": config.name,
            "training": {
                "configuration": said,
                "seed": work.seed,
                "stage_1": first.model_dump(mode="json"),
                "stage_2": second.model_dump(mode="json"),
                "dropped": work.corpus.crops.dropped,
                "commit": commit(),
                "tool": f"unmask {unmask.__version__}",
                "torch": torch.__version__,
            },
            "metrics": {"split": VAL, "auc": round(second.val_auc, 4)},
            "decision": fit_decision_on(score_sets(model, sets, spec), families),
        }
    )
    path = out / f"{config.name}.safetensors"
    save_checkpoint(path, model, card)
    return path


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of tensors by name; that of a file also depends on the order of its header."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _begin(folder: Path, key: str) -> None:
    """Refuse to go on with another run; remember this one."""
    begun = folder / BEGUN
    if begun.is_file() and json.loads(begun.read_text("utf-8")).get("key") != key:
        raise ConfigError(
            f"{folder} holds a run with another configuration, index, stage 1 or masks.",
            "Delete it, choose another --out, or restore what it began with.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(begun, json.dumps({"key": key}) + "\n")


def _load(module: LAEModule, state: Mapping[str, Tensor]) -> None:
    for name, part in (("model.", module.model), ("discriminator.", module.discriminator)):
        if part is not None:
            mine = {k.removeprefix(name): t for k, t in state.items() if k.startswith(name)}
            part.load_state_dict(mine)


def _save(path: Path, state: Mapping[str, Tensor]) -> None:
    with replacing(path) as part:
        save_file({k: t.detach().cpu().contiguous() for k, t in state.items()}, part)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
