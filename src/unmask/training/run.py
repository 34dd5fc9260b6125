"""One training run: from a configuration file to a checkpoint with its card."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy
from pydantic import ValidationError
from torch import nn
from torch.utils.data import DataLoader

from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.errors import ConfigError
from unmask.models.checkpoint import Card, save_checkpoint
from unmask.models.registry import model_spec
from unmask.models.statistics import StatisticsNet
from unmask.training.batches import loaders
from unmask.training.card import command_of, facts, measured, started_from, trained_on
from unmask.training.checks import check
from unmask.training.config import TrainConfig, load_config, with_overrides
from unmask.training.decision import fit_decision_on
from unmask.training.discriminant import check_head, fit_discriminant
from unmask.training.erasure import check_sources, erase_sources, more_reals
from unmask.training.feeds import feeds, scored_sets
from unmask.training.launch import run_processes
from unmask.training.module import DetectorModule, Scores, embed_sets
from unmask.training.network import (
    as_stored,
    averaged,
    build,
    device_type,
    starts_from_imagenet,
)
from unmask.training.network import sized as sized
from unmask.training.share import share, synchronised
from unmask.training.speed import keep_memory
from unmask.training.statistics import fixed_scorer

EPOCHS = "epochs"
"""Folder of a run with the checkpoint of every epoch, where they are kept."""
LEAST_REALS = 20
"""Fewer validation reals than this cannot carry a threshold."""


def train(
    config_path: Path,
    *,
    out: Path,
    resume: bool = False,
    index: Path | None = None,
    fakes: Mapping[str, Path] | None = None,
    backbone_weights: Path | None = None,
    pretrained: bool | None = None,
    start: Path | None = None,
    devices: int = 1,
) -> Path:
    """Train as a configuration says.

    Writes into `out`: `last.ckpt` and the best checkpoint (to resume from), `logs`, and at the end
    `NAME.safetensors` with `NAME.json`, its card.

    Args:
        config_path: YAML, see `config.TrainConfig`.
        out: folder of this run; face crops are kept in `cache` beside it, for other runs.
        resume: go on from `last.ckpt` if there is one.
        index, backbone_weights, pretrained, start: instead of the configuration's.
        fakes: generator -> another index, of which its fakes are taken and nothing else.
        devices: processes of this machine that share every batch, on a GPU each where there are
            GPUs; the order and the draws are those of one process.

    Returns:
        Path of the weights.

    Raises:
        ConfigError: a configuration that cannot work, an `out` that holds another run, or a
            process that failed.
        DatasetError: the index cannot be used.
    """
    config = with_overrides(
        load_config(config_path),
        index=index,
        backbone_weights=backbone_weights,
        pretrained=pretrained,
        start=start,
    )
    cache = out.parent / "cache"
    if share().world == 1:
        check(config, devices)
        _check_out(out, config, resume)
    crops = load_crops(config, cache, fakes or {})
    if share().world < devices:
        del crops  # found and kept; each process reads them
        given = {
            "index": index,
            "fakes": fakes,
            "backbone_weights": backbone_weights,
            "pretrained": pretrained,
            "start": start,
        }
        places = {"config_path": config_path, "out": out, "resume": resume, "devices": devices}
        run_processes(train, {**places, **given}, devices)
        return out / f"{config.name}.safetensors"
    command = command_of("train", config_path, fakes or {})
    if config.start is not None:
        command += f" --start {config.start.name}"
    if devices > 1:
        command += f" --devices {devices}"
    return train_on(config, crops, out=out, cache=cache, resume=resume, command=command)


def train_on(
    config: TrainConfig,
    crops: Crops,
    *,
    out: Path,
    cache: Path,
    command: str,
    resume: bool = False,
    decide: bool = True,
    keep_every_epoch: bool = False,
) -> Path:
    """Train on crops that are at hand, as a configuration says.

    Args:
        config: its `data.index` and `data.sources` are not looked at.
        crops: items of the splits train and val; others are not used.
        out: folder of this run.
        cache: folder for what runs share.
        command: what the card says the weights were made with.
        resume: go on from `last.ckpt` if there is one.
        decide: forge the training families from the validation reals, put the reals under the
            controls, and fit thresholds on all of it; without, only the index's own validation
            items are scored, and the card has no decision.
        keep_every_epoch: leave the checkpoint of every epoch in `out`/epochs, too; which one is
            chosen does not change.

    Returns:
        Path of the weights.

    Raises:
        ConfigError: a configuration that cannot work, or an `out` that holds another run.
    """
    if share().first:
        _check_out(out, config, resume)
    keep_memory()
    started = time.perf_counter()
    # after the crops: finding faces anew draws random numbers, reading kept ones does not
    L.seed_everything(config.seed, workers=True, verbose=False)
    spec = sized(model_spec(config.model), config)
    from_imagenet = starts_from_imagenet(spec, config)
    model = build(spec, config, from_imagenet)
    begun = started_from(config)
    first = deepcopy(model.state_dict()) if config.optim.start_share else None
    sets = scored_sets(crops, spec, config, decide)
    if config.optim.erase_sources:
        check_sources(sets, model)
    path = out / f"{config.name}.safetensors"
    settings = config.optim.discriminant
    if settings is not None:
        check_head(model, len(config.data.families), settings)
        assert isinstance(model, StatisticsNet)
        fit_discriminant(model, crops, spec.input, config.data, settings, cache=cache, say=_say)
        scorer: Callable[[nn.Module], Scores] = fixed_scorer(model, sets, spec.input, cache)
    else:
        pairs, scorer, window = feeds(model, crops, spec, config, cache, sets, _say)
        workers = 0 if spec.fixed else config.data.workers
        if share().world > 1:
            model = synchronised(model, device_type())
        module = DetectorModule(
            model,
            window,
            config.optim,
            loaders(pairs, config, workers, share()),
            scorer,
            config.data.beside,
            config.select_on or list(config.data.families),
            seed=config.seed,
            pretrained=from_imagenet or bool(config.backbone_weights or config.start),
        )
        with redirect_stdout(sys.stderr):  # where Lightning's progress bar belongs
            best = _fit(module, config, out, resume, keep_every_epoch)
        if not share().first:
            return path
        if first is not None:
            best = averaged(first, best, config.optim.start_share)
        model.load_state_dict(best)
    if config.optim.erase_sources:
        more, known = more_reals(crops, spec.input, config, sets)
        erase_sources(model, sets, spec.input, more, trained_on=known)
    as_stored(model)
    model.eval()
    embeddings = None
    if spec.fixed or not decide:  # statistics are no features that were learned
        scores = scorer(model)
    else:
        scores, embeddings = embed_sets(model, sets, spec.input)
    card = Card(
        name=config.name,
        architecture=config.model,
        config=model.config.model_dump(mode="json"),  # type: ignore[union-attr, operator]  # all have one
        input=spec.input,
        summary=spec.summary,
        licence=config.licence,
        limitations=config.limitations,
        training={
            **facts(config, crops, command, time.perf_counter() - started),
            "started_from": begun,
        },
        metrics=measured(scores, config, trained_on(config, begun)),
        decision=fit_decision_on(scores, config.data.families, embeddings) if decide else None,
    )
    save_checkpoint(path, model, card, half=True)
    _say(f"wrote {path} and its card {path.with_suffix('.json').name}")
    return path


def _say(message: str) -> None:
    if share().first:
        print(message, file=sys.stderr, flush=True)


def _check_out(out: Path, config: TrainConfig, resume: bool) -> None:
    """Refuse to mix runs in one folder; remember the configuration for the next time."""
    kept, text = out / "config.json", config.model_dump_json(indent=1)
    done = any(out.glob("*.ckpt"))
    if config.optim.discriminant is not None:  # there are no checkpoints
        done = done or (out / f"{config.name}.safetensors").is_file()
    if done and not resume:
        raise ConfigError(
            f"{out} already holds a run.", "Continue it with --resume, or choose another --out."
        )
    if resume and kept.is_file() and _read(kept) != TrainConfig.model_validate_json(text):
        raise ConfigError(
            f"{out} holds a run with another configuration.",
            "Choose another --out, or restore the configuration that it began with.",
        )
    out.mkdir(parents=True, exist_ok=True)
    kept.write_text(text, "utf-8")


def _read(kept: Path) -> TrainConfig | None:
    """The configuration a run began with; None where this version cannot read it.

    As a configuration and not as text: a setting that came later has its default.
    """
    try:
        return TrainConfig.model_validate_json(kept.read_text("utf-8"))
    except ValidationError:
        return None


def load_crops(config: TrainConfig, cache: Path, fakes: Mapping[str, Path]) -> Crops:
    """The faces of a configuration's index, and of other indices' fakes.

    Raises:
        ConfigError: none of the configured sources, or too few validation reals.
        DatasetError: the index cannot be used.
    """
    assert config.data.index is not None  # with_overrides refuses that
    items = read_items_with(config.data.index, fakes)
    if config.data.sources is not None:
        wanted = set(config.data.sources)
        items = [item for item in items if item.source in wanted]
        if not items:
            raise ConfigError(f"The index has no items of the sources {sorted(wanted)}.")

    def progress(done: int) -> None:
        if done % 500 == 0 or done == len(items):
            _say(f"faces: {done} of {len(items)} pictures")

    crops = prepare_crops(items, cache, progress=progress)
    if crops.dropped:
        _say(f"pictures without a usable face: {crops.dropped}")
    reals = crops.where(lambda item: item.split == "val" and item.label == 0)
    if len(reals) < LEAST_REALS:
        raise ConfigError(
            f"The index has {len(reals)} validation reals with a face; thresholds need at least "
            f"{LEAST_REALS}.",
            "Add pictures of the split val, or let more of them keep it.",
        )
    return crops


def _fit(
    module: DetectorModule, config: TrainConfig, out: Path, resume: bool, keep_every_epoch: bool
) -> dict[str, Any]:
    """Run the trainer; the state of the epoch that is kept, by default the best on validation
    items of trained families."""
    # two, because `save_last` only saves when the best changes; the best first, so that what
    # `last.ckpt` remembers of it is up to date
    always: dict[str, Any] = {"dirpath": out, "save_top_k": 1, "enable_version_counter": False}
    keeper = ModelCheckpoint(filename="best", monitor="val/auc", mode="max", **always)
    latest = ModelCheckpoint(filename="last", **always)
    callbacks: list[Callback] = [keeper, latest, TQDMProgressBar(refresh_rate=10)]
    if keep_every_epoch:
        every: dict[str, Any] = {**always, "dirpath": out / EPOCHS, "save_top_k": -1}
        # only whole checkpoints hold the averaged weights
        every["save_weights_only"] = not config.optim.ema
        callbacks.insert(0, ModelCheckpoint(filename="{epoch}", monitor="epoch", **every))
    if config.optim.ema:
        from lightning.pytorch.callbacks import EMAWeightAveraging

        callbacks.append(EMAWeightAveraging(decay=config.optim.ema))
    _quiet()
    trainer = L.Trainer(
        max_epochs=config.optim.epochs,
        precision=config.optim.precision,  # type: ignore[arg-type]  # checked by the configuration
        callbacks=callbacks,
        # a logger empties its folder when it starts, so each resumption gets its own
        logger=CSVLogger(
            out, name="logs", version=len(list(out.glob("logs/*"))), flush_logs_every_n_steps=1
        ),
        **_machine(config),
        accumulate_grad_batches=config.optim.accumulate,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=10,
        deterministic="warn",
        reload_dataloaders_every_n_epochs=1,
    )
    once: DataLoader[Any] = DataLoader([0])  # type: ignore[arg-type]  # the scorer holds the validation items
    last = out / "last.ckpt"
    checkpoint = str(last) if resume and last.is_file() else None
    trainer.fit(module, val_dataloaders=once, ckpt_path=checkpoint, weights_only=False)
    if trainer.interrupted:
        raise KeyboardInterrupt
    kept = keeper if config.optim.keep == "best" else latest
    state = torch.load(kept.best_model_path, map_location="cpu", weights_only=False)
    prefix = "model."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state["state_dict"].items()
        if name.startswith(prefix)
    }


def _machine(config: TrainConfig) -> dict[str, Any]:
    """What the trainer is told of the processes: this one alone, or a share of several."""
    place = share()
    if place.world == 1:
        return {"accelerator": "auto", "devices": 1}
    strategy = DDPStrategy(
        cluster_environment=LightningEnvironment(),
        process_group_backend="nccl" if device_type() == "cuda" else "gloo",
        # the others wait while the first scores; who fails is seen by the parent, not by a timeout
        timeout=timedelta(days=7),
        find_unused_parameters=not config.optim.contrastive_weight,  # the projection
    )
    return {
        "accelerator": device_type(),
        "devices": place.world,
        "strategy": strategy,
        "use_distributed_sampler": False,  # `batches.Order` shares the batches
    }


def _quiet() -> None:
    """Lightning's tips and hints about defaults that are meant as they are."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for text in (".*does not have many workers.*", ".*LeafSpec.*", ".*logging interval.*",
                 ".*exists and is not empty.*", ".*Experiment logs directory.*"):  # fmt: skip
        warnings.filterwarnings("ignore", text)
