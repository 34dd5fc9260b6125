"""What can be known to fail before faces are looked for, and is refused then."""

from __future__ import annotations

import torch
from torch import Tensor

from unmask.errors import ConfigError, UnmaskError
from unmask.models.ensemble import NAME as ENSEMBLE
from unmask.models.registry import model_spec
from unmask.training.config import TrainConfig
from unmask.training.discriminant import check_head
from unmask.training.network import (
    build,
    device_type,
    sized,
    starts_from_imagenet,
    with_window,
)
from unmask.transforms.preprocess import InputSpec, normalise


def check(config: TrainConfig, devices: int = 1) -> None:
    """Refuse what cannot work on this machine: devices, precision, weights, size of the pictures.

    The network is built as it will be trained, and two pictures of zeros are put through it.

    Args:
        config: each field is valid by itself.
        devices: processes of the run.

    Raises:
        ConfigError: it cannot work; the message names the field.
        CheckpointError: backbone weights cannot be had.
    """
    _check_devices(config, devices)
    _check_precision(config)
    _check_network(config)


def _check_devices(config: TrainConfig, devices: int) -> None:
    if devices < 1:
        raise ConfigError(f"--devices must be at least 1; got {devices}.")
    if devices == 1:
        return
    optim = config.optim
    unit = 2 * optim.accumulate * devices
    if optim.batch_size % unit:
        raise ConfigError(
            f"optim.batch_size: {optim.batch_size} pictures cannot be split into {devices} devices "
            f"x {optim.accumulate} parts (optim.accumulate) that are half real.",
            f"Use a multiple of {unit}, or other --devices.",
        )
    if model_spec(config.model).fixed:
        raise ConfigError(
            f"--devices: {config.model} trains on statistics that are computed once, in one "
            "process.",
            "Leave --devices out.",
        )
    if device_type() == "cuda" and torch.cuda.device_count() < devices:
        raise ConfigError(
            f"--devices {devices}: this machine has {torch.cuda.device_count()} GPUs.",
            "Use as many, or hide them (CUDA_VISIBLE_DEVICES=) to train on the processor.",
        )


def _check_precision(config: TrainConfig) -> None:
    precision = config.optim.precision
    if precision == "16-mixed" and device_type() == "cpu":
        raise ConfigError(
            "optim.precision: 16-mixed needs a GPU.", "Use bf16-mixed or 32-true here."
        )
    check_bfloat16(precision, "optim.precision", "16-mixed or 32-true")


def check_bfloat16(precision: str, field: str, instead: str) -> None:
    """Refuse bfloat16 on a GPU that only emulates it.

    Args:
        precision: Lightning's name of it.
        field: of the configuration that asks for it.
        instead: what to use there.

    Raises:
        ConfigError: see above.
    """
    if (
        precision == "bf16-mixed"
        and device_type() == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise ConfigError(
            f"{field}: {torch.cuda.get_device_name()} has no bfloat16.",
            f"Use {instead} here.",
        )


def _check_network(config: TrainConfig) -> None:
    if config.model == ENSEMBLE:
        raise ConfigError(
            f"model: {config.model} is not trained; its members are.",
            "Train them, and put them together with `unmask fuse`.",
        )
    others = config.backbone_weights is not None or config.pretrained is not None
    if config.start is not None and others:
        raise ConfigError(
            "start: gives all weights, and backbone_weights or pretrained give others.",
            "Leave one of them out.",
        )
    if config.optim.start_share and config.start is None:
        raise ConfigError(
            "optim.start_share: a share of the weights that the run starts from, and it has none.",
            "Give them (--start), or leave optim.start_share out.",
        )
    spec = sized(model_spec(config.model), config)
    wanted = starts_from_imagenet(spec, config)
    try:
        model = build(spec, config, wanted)
    except ConfigError as error:
        if not wanted and config.backbone_weights is None:
            raise
        field = "backbone_weights" if config.backbone_weights is not None else "pretrained: true"
        raise ConfigError(
            f"{field}: cannot be had for {config.model}. {error.message}", error.hint
        ) from error
    if config.optim.discriminant is not None:
        check_head(model, len(config.data.families), config.optim.discriminant)
    for contract in (with_window(spec.input, config.data.window), spec.input):
        rgb, native = _zeros(contract)
        try:
            with torch.no_grad():  # in training mode: that is what will run first
                model(rgb, native)
        except (UnmaskError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"data.side, data.window: {config.model} cannot take pictures of {rgb.shape[-1]} "
                f"px (RGB) and {native.shape[-1]} px (native window): {error}",
                "Leave data.side and data.window out for the network's own sizes.",
            ) from error


def _zeros(spec: InputSpec) -> tuple[Tensor, Tensor]:
    """Two black pictures as the network takes them: RGB, native window."""
    native = torch.zeros(2, 3, spec.native_size, spec.native_size)
    side = spec.rgb_size or spec.native_size
    return normalise(torch.zeros(2, 3, side, side), spec), native
