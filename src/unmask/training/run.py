"""One training run: from a configuration file to a checkpoint with its card."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from unmask.data.crops import Crops, prepare_crops
from unmask.data.dataset import PairSettings, TrainingPairs, scoring_sets
from unmask.data.items import read_items
from unmask.errors import ConfigError
from unmask.models.checkpoint import Card, save_checkpoint
from unmask.models.registry import ModelSpec, model_spec
from unmask.models.rich import RichNet
from unmask.training.card import facts, measured
from unmask.training.config import TrainConfig, load_config, with_overrides
from unmask.training.decision import fit_decision_on
from unmask.training.module import DetectorModule, Scores, epoch_seed, score_sets
from unmask.training.statistics import fixed_scorer, training_statistics
from unmask.transforms.preprocess import InputSpec

LEAST_REALS = 20
"""Fewer validation reals than this cannot carry a threshold."""


def train(
    config_path: Path,
    *,
    out: Path,
    resume: bool = False,
    index: Path | None = None,
    backbone_weights: Path | None = None,
    pretrained: bool | None = None,
) -> Path:
    """Train as a configuration says.

    Writes into `out`: `last.ckpt` and the best checkpoint (to resume from), `logs`, and at the end
    `NAME.safetensors` with `NAME.json`, its card.

    Args:
        config_path: YAML, see `config.TrainConfig`.
        out: folder of this run; face crops are kept in `cache` beside it, for other runs.
        resume: go on from `last.ckpt` if there is one.
        index, backbone_weights, pretrained: instead of the configuration's.

    Returns:
        Path of the weights.

    Raises:
        ConfigError: a configuration that cannot work, or an `out` that holds another run.
        DatasetError: the index cannot be used.
    """
    config = with_overrides(
        load_config(config_path),
        index=index,
        backbone_weights=backbone_weights,
        pretrained=pretrained,
    )
    _check_out(out, config, resume)
    cache = out.parent / "cache"
    crops = _load_crops(config, cache)
    command = f"unmask train {config_path} --index INDEX.csv"
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

    Returns:
        Path of the weights.

    Raises:
        ConfigError: a configuration that cannot work, or an `out` that holds another run.
    """
    _check_out(out, config, resume)
    started = time.perf_counter()
    # after the crops: finding faces anew draws random numbers, reading kept ones does not
    L.seed_everything(config.seed, workers=True, verbose=False)
    spec = _sized(model_spec(config.model), config)
    from_imagenet = spec.pretrained if config.pretrained is None else config.pretrained
    model = _build(spec, config, from_imagenet)
    pairs, scorer, window = _feeds(model, crops, spec, config, cache, decide)
    workers = 0 if isinstance(model, RichNet) else config.data.workers
    module = DetectorModule(
        model,
        window,
        config.optim,
        _loader(pairs, config, workers),
        scorer,
        config.data.beside,
        config.select_on or list(config.data.families),
        seed=config.seed,
        pretrained=from_imagenet or config.backbone_weights is not None,
    )
    best = _fit(module, config, out, resume)
    model.load_state_dict(best)
    for parameter in model.parameters():  # measure the weights as they will be stored
        parameter.data = parameter.data.half().float()
    model.eval()
    scores = scorer(model)
    card = Card(
        name=config.name,
        architecture=config.model,
        config=model.config.model_dump(mode="json"),  # type: ignore[union-attr, operator]  # all have one
        input=spec.input,
        summary=spec.summary,
        licence=config.licence,
        limitations=config.limitations,
        training=facts(config, crops, command, time.perf_counter() - started),
        metrics=measured(scores, config),
        decision=fit_decision_on(scores, config.data.families) if decide else None,
    )
    path = out / f"{config.name}.safetensors"
    save_checkpoint(path, model, card, half=True)
    _say(f"wrote {path} and its card {path.with_suffix('.json').name}")
    return path


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _check_out(out: Path, config: TrainConfig, resume: bool) -> None:
    """Refuse to mix runs in one folder; remember the configuration for the next time."""
    kept, text = out / "config.json", config.model_dump_json(indent=1)
    if any(out.glob("*.ckpt")) and not resume:
        raise ConfigError(
            f"{out} already holds a run.", "Continue it with --resume, or choose another --out."
        )
    if resume and kept.is_file() and kept.read_text("utf-8") != text:
        raise ConfigError(
            f"{out} holds a run with another configuration.",
            "Choose another --out, or restore the configuration that it began with.",
        )
    out.mkdir(parents=True, exist_ok=True)
    kept.write_text(text, "utf-8")


def _load_crops(config: TrainConfig, cache: Path) -> Crops:
    assert config.data.index is not None  # with_overrides refuses that
    items = read_items(config.data.index)
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


def _build(spec: ModelSpec, config: TrainConfig, pretrained: bool) -> nn.Module:
    options = {**spec.config.model_dump(), **config.model_options}
    return spec.create(
        config=type(spec.config).model_validate(options),
        pretrained=pretrained and config.backbone_weights is None,
        backbone_weights=config.backbone_weights,
    )


def _feeds(
    model: nn.Module,
    crops: Crops,
    spec: ModelSpec,
    config: TrainConfig,
    cache: Path,
    decide: bool,
) -> tuple[Dataset[Any], Callable[[nn.Module], Scores], InputSpec]:
    """Training pairs, validation scorer, and the input contract with the training window."""
    families = [] if config.data.forged else list(config.data.families)
    sets = scoring_sets(crops, spec.input, "val", forged=decide, controls=decide, families=families)
    if isinstance(model, RichNet):
        statistics = training_statistics(
            model, crops, spec.input, config.data, seed=config.seed, cache=cache, say=_say
        )
        model.standardise_to(*statistics.moments())
        return statistics, fixed_scorer(model, sets, spec.input), spec.input
    window = _with_window(spec.input, config.data.window)
    settings = PairSettings(
        families=config.data.families,
        beside=config.data.beside,
        soften_real_p=config.data.soften_real_p,
        ramp_epochs=config.data.ramp_epochs,
        forged=config.data.forged,
        random_grid=config.data.random_grid,
    )
    pairs = TrainingPairs(crops, window, settings, seed=config.seed, repeats=config.data.repeats)
    return pairs, lambda current: score_sets(current, sets, spec.input), window


def _with_window(spec: InputSpec, side: int | None) -> InputSpec:
    """The input contract with another native window, that reduces crops to the same share of it."""
    if side is None:
        return spec
    limit = spec.native_limit
    if limit is not None:
        limit = max(1.0, limit * spec.native_size / side)
    return spec.model_copy(update={"native_size": side, "native_limit": limit})


def _sized(spec: ModelSpec, config: TrainConfig) -> ModelSpec:
    """The network's specification with the side and the limit of the configuration."""
    data, taken = config.data, _with_window(spec.input, config.data.side)
    if data.side is not None and taken.rgb_size is not None:
        taken = taken.model_copy(update={"rgb_size": data.side})
    if data.native_limit is not None:
        taken = taken.model_copy(update={"native_limit": data.native_limit})
    return replace(spec, input=taken)


class _Order(Sampler[int]):
    """A shuffle that is the same however often it is begun; Lightning begins it twice to resume."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        return iter(torch.randperm(self.size, generator=generator).tolist())


def _loader(pairs: Dataset[Any], config: TrainConfig, workers: int) -> Callable[[int], Any]:
    """epoch -> its batches, in an order and with draws that depend on (seed, epoch) alone."""

    def batches(epoch: int) -> DataLoader[Any]:
        if isinstance(pairs, TrainingPairs):
            pairs.set_epoch(epoch)
        return DataLoader(
            pairs,
            batch_size=config.optim.batch_size // 2,
            sampler=_Order(len(pairs), epoch_seed(config.seed, epoch)),  # type: ignore[arg-type]  # sized
            drop_last=True,
            num_workers=workers,
            generator=torch.Generator(),  # its own, so that beginning twice leaves dropout's alone
        )

    return batches


def _fit(module: DetectorModule, config: TrainConfig, out: Path, resume: bool) -> dict[str, Any]:
    """Run the trainer; the state of the best epoch on validation items of trained families."""
    # two, because `save_last` only saves when the best changes; the best first, so that what
    # `last.ckpt` remembers of it is up to date
    always: dict[str, Any] = {"dirpath": out, "save_top_k": 1, "enable_version_counter": False}
    keeper = ModelCheckpoint(filename="best", monitor="val/auc", mode="max", **always)
    latest = ModelCheckpoint(filename="last", **always)
    callbacks: list[Callback] = [keeper, latest, TQDMProgressBar(refresh_rate=10)]
    if config.optim.ema:
        from lightning.pytorch.callbacks import EMAWeightAveraging

        callbacks.append(EMAWeightAveraging(decay=config.optim.ema))
    _quiet()
    trainer = L.Trainer(
        max_epochs=config.optim.epochs,
        precision=config.optim.precision,  # type: ignore[arg-type]  # checked by the configuration
        callbacks=callbacks,
        # a logger empties its folder when it starts, so each resumption gets its own
        logger=CSVLogger(out, name="logs", version=len(list(out.glob("logs/*")))),
        accelerator="auto",
        devices=1,
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
    state = torch.load(keeper.best_model_path, map_location="cpu", weights_only=False)
    prefix = "model."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state["state_dict"].items()
        if name.startswith(prefix)
    }


def _quiet() -> None:
    """Lightning's tips and hints about defaults that are meant as they are."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for text in (".*does not have many workers.*", ".*LeafSpec.*", ".*logging interval.*",
                 ".*exists and is not empty.*", ".*Experiment logs directory.*"):  # fmt: skip
        warnings.filterwarnings("ignore", text)
