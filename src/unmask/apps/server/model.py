"""What the service knows of its model without loading it: the card, and thresholds of its own.

The service must not need the network, so a calibration is read here by its numbers alone; workers
read all of it (`unmask.inference.own_reals`).
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unmask.apps.server.settings import ServerSettings
from unmask.errors import CheckpointError, ConfigError, first_fault

_Share = Field(ge=0, le=1)


class Thresholds(BaseModel):
    """Where the verdict changes, and the share of real faces above it."""

    model_config = ConfigDict(frozen=True)

    flag: float = _Share
    clear: float = _Share
    fpr_at_flag: float = _Share
    ci95: tuple[float, float]
    measured_on: str
    domain: str


class OwnThresholds(BaseModel):
    """The part of a file of `unmask calibrate` that the service tells.

    Attributes:
        model, weights_sha256: the only weights that it is for.
        fpr: asked for.
        decision: in place of the card's.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal["unmask.calibration/1"]
    model: str
    weights_sha256: str
    fpr: float = _Share
    decision: Thresholds


def read_model_card(model: str) -> dict[str, Any]:
    """The card of a packaged model by name, or of a .safetensors file, as it stands.

    Nothing is loaded but the card: pages must not need the network.

    Raises:
        CheckpointError: there is none, or it is not a JSON object.
    """
    path = Path(model)
    try:
        if path.suffix == ".safetensors":
            raw = path.with_suffix(".json").read_text("utf-8")
        else:
            raw = (
                resources.files("unmask")
                .joinpath("weights", f"{path.name}.json")
                .read_text("utf-8")
            )
        card = json.loads(raw)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"The card of the model {path.name} cannot be read.",
            "A .safetensors file needs its .json card beside it: copy both.",
        ) from error
    if not isinstance(card, dict):
        raise CheckpointError(f"The card of the model {path.name} is damaged.")
    return card


def read_own_thresholds(settings: ServerSettings) -> OwnThresholds | None:
    """The thresholds of `settings.calibration`; None: the card's hold.

    Raises:
        ConfigError: the file cannot be read, is no calibration, or is for other weights than the
            model's.
        CheckpointError: the model has no card.
    """
    path = settings.calibration
    if path is None:
        return None
    try:
        own = OwnThresholds.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.", "Give a file of `unmask calibrate`."
        ) from error
    except ValidationError as error:
        raise ConfigError(
            f"{path} is no calibration of unmask: {first_fault(error)}.",
            "Make one with `unmask calibrate FOLDER --out FILE`.",
        ) from error
    weights = read_model_card(settings.model).get("weights_sha256")
    if own.weights_sha256 != weights:
        raise ConfigError(
            f"The calibration {path} was made for other weights ({own.model}, "
            f"{own.weights_sha256[:12]}) than those of {settings.model} ({str(weights)[:12]}).",
            "Run `unmask calibrate` again with this model.",
        )
    return own
