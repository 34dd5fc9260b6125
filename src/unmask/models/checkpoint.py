"""Weights as safetensors with a card beside them: what the network is, and what was measured.

`NAME.safetensors` holds the tensors and, as metadata, the architecture and its configuration;
`NAME.json` is the card. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from unmask.errors import CheckpointError, ConfigError
from unmask.models.registry import model_spec
from unmask.transforms.preprocess import InputSpec

FORMAT = "unmask.checkpoint/1"
CLEAR_P = 1 / 3
"""Calibrated P(fake) at equal priors below which a score is no evidence: likelihood ratio 1/2.

A ratio between 1/2 and 2 supports neither side (the scale of the ENFSI Guideline for Evaluative
Reporting in Forensic Science, 2015, begins at 2).
"""


class FeatureDomain(BaseModel):
    """Which embeddings are like those of held-out reals and fakes: `metrics.features`.

    Attributes:
        centres: (C, D) means of the classes.
        directions: (K, D) principal directions. variances: (K,) along them.
        rest: variance along every other direction.
        limit: distance beyond which a face is unlike both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    centres: list[list[float]]
    directions: list[list[float]]
    variances: list[float]
    rest: float = Field(gt=0)
    limit: float = Field(ge=0)


class Decision(BaseModel):
    """How a logit becomes a probability and a verdict, fitted on held-out validation items.

    Attributes:
        slope, bias: p_fake = sigmoid(slope * logit + bias), classes weighing the same.
        flag, clear: thresholds on the score sigmoid(logit).
        fpr_at_flag, ci95: share of the validation reals at or above `flag`, and its interval.
        measured_on, domain: the data, in words for a report.
        bands: (14, 3) 5th, 50th and 95th percentile of the log10 band energies of those reals.
        band_limits: (14, 2) outside of which in several bands a face is out of domain.
        features: which embeddings are like those of the validation faces; None where the network
            has none that was looked at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: float
    bias: float
    flag: float = Field(ge=0, le=1)
    clear: float = Field(ge=0, le=1)
    fpr_at_flag: float
    ci95: tuple[float, float]
    measured_on: str
    domain: str
    bands: list[tuple[float, float, float]] = Field(min_length=14, max_length=14)
    band_limits: list[tuple[float, float]] = Field(min_length=14, max_length=14)
    features: FeatureDomain | None = None


class Card(BaseModel):
    """The model card, for machines; `docs` render it for people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = FORMAT
    name: str
    architecture: str
    config: dict[str, Any]
    input: InputSpec
    summary: str = ""
    licence: str = "unspecified"
    weights_sha256: str = ""
    parameters: int = 0
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    limitations: list[str] = []
    decision: Decision | None = None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def card_path(weights: Path) -> Path:
    """Where the card of a weights file lies."""
    return weights.with_suffix(".json")


def save_checkpoint(path: Path, model: nn.Module, card: Card, *, half: bool = False) -> Card:
    """Write weights and card; returns the card with hash and parameter count filled in.

    Args:
        path: ends in `.safetensors`.
        model: its state becomes the file.
        card: what to say about it.
        half: store parameters as float16; they are read back as float32. Buffers (running and
            standardising statistics) span too many magnitudes for it and keep their type.

    Raises:
        CheckpointError: `path` has another suffix, or a stored weight would not be finite.
    """
    if path.suffix != ".safetensors":
        raise CheckpointError(f"Weights are written as .safetensors, not {path.name}.")
    shrunk = {name for name, _ in model.named_parameters()} if half else set()
    state = {
        name: (tensor.half() if name in shrunk else tensor).detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(
            f"{len(broken)} tensors hold values that are not finite ({', '.join(broken[:3])}).",
            "Training diverged, or the values are too large for float16: save with half=False.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, metadata={"format": FORMAT, "unmask": _described(card)})
    done = card.model_copy(
        update={
            "weights_sha256": file_sha256(path),
            "parameters": sum(p.numel() for p in model.parameters()),
        }
    )
    write_card(path, done)
    path.chmod(card_path(path).stat().st_mode)  # safetensors makes files for the owner only
    return done


def _described(card: Card) -> str:
    """What the weights' metadata says of the network: the same text for the same network."""
    described = {"architecture": card.architecture, "config": card.config}
    return json.dumps(described, sort_keys=True)


def write_card(weights: Path, card: Card) -> None:
    """Write the card beside its weights file."""
    card_path(weights).write_text(card.model_dump_json(indent=1) + "\n", "utf-8")


def read_card(path: Path) -> Card:
    """The card of a weights file (or the card file itself).

    Raises:
        CheckpointError: missing, or not a card.
    """
    path = card_path(path)
    if not path.is_file():
        raise CheckpointError(
            f"There is no model card {path}.",
            "A .safetensors file needs its .json card beside it: copy both.",
        )
    try:
        card = Card.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"{path} is not a model card: {error}") from error
    if card.format != FORMAT:
        raise CheckpointError(
            f"{path} has the format {card.format!r}; this version reads {FORMAT!r}.",
            "Use the version of unmask that wrote it, or a newer one.",
        )
    return card


def load_checkpoint(path: Path) -> tuple[nn.Module, Card]:
    """Build the network a weights file describes, and load it, in eval mode and float32.

    Raises:
        CheckpointError: file or card missing, damaged, of different makes, or altered since the
            card was written.
    """
    if not path.is_file():
        raise CheckpointError(
            f"There are no weights {path}.", "Give a .safetensors file written by unmask train."
        )
    card = read_card(path)
    if file_sha256(path) != card.weights_sha256:
        raise CheckpointError(
            f"{path} is not the file its card describes (SHA-256 differs).",
            "The weights were damaged or exchanged: fetch weights and card again.",
        )
    try:
        spec = model_spec(card.architecture)
        model = spec.create(config=type(spec.config).model_validate(card.config))
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get("unmask")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model.load_state_dict({name: _full(tensor) for name, tensor in state.items()})
    except (ConfigError, ValidationError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit {card.architecture}: {error}") from error
    # some settings, such as a clipping, leave no tensor behind that would not fit
    if json.loads(described or "null") != json.loads(_described(card)):
        raise CheckpointError(
            f"{path} and its card describe different networks: {described} and {_described(card)}.",
            "Fetch weights and card again.",
        )
    return model.eval(), card


def _full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


@torch.inference_mode()
def predict(
    model: nn.Module,
    inputs: dict[str, torch.Tensor],
    *,
    device: str = "cpu",
    precision: torch.dtype = torch.float32,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Logits (N,) float64 and embeddings (N, D) float32 of one batch of `to_tensors`.

    Args:
        model: in eval mode, on `device`.
        inputs: `rgb` and `native`.
        device: as torch names it.
        precision: bfloat16 is about twice as fast on recent CPUs and moves scores slightly.
    """
    fast = precision != torch.float32
    rgb, native = (
        inputs[view].to(device, memory_format=torch.channels_last) for view in ("rgb", "native")
    )
    with torch.autocast(device_type=torch.device(device).type, dtype=precision, enabled=fast):
        output = model(rgb, native)
    return output.logit.double().cpu().numpy(), output.embedding.float().cpu().numpy()
