"""How inputs are sampled and scored, and where models are found."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unmask.errors import ConfigError
from unmask.inference.compiled import DEVICE as OPENVINO
from unmask.inference.compiled import runtime
from unmask.models.checkpoint import Decision


class Settings(BaseModel):
    """Everything beside weights and decision that a score depends on; hashed into each result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_frames: int = Field(32, ge=1, le=10_000)
    """Frames per video, spread evenly."""
    max_faces: int = Field(8, ge=1)
    """Faces per frame, the largest first."""
    margin: float = Field(1.3, ge=1.0, le=3.0)
    """Side of the square crop relative to the face's longer side."""
    precision: str = Field("float32", pattern="^(float32|bfloat16)$")
    """Of the network; the DCT is always float32."""

    @classmethod
    def checked(cls, *, max_frames: int, precision: str) -> Settings:
        """Like the constructor, but a bad value is a `ConfigError`."""
        try:
            return cls(max_frames=max_frames, precision=precision)
        except ValidationError as error:
            first = error.errors()[0]
            message = f"{first['loc'][0]}: {first['msg']}; got {first['input']}."
            raise ConfigError(message) from error

    def sha256(self, decision: Decision) -> str:
        """Hash of these settings and of the decision."""
        text = self.model_dump_json() + decision.model_dump_json(exclude_none=True)
        return hashlib.sha256(text.encode()).hexdigest()


def packaged_models() -> dict[str, Path]:
    """Name -> weights file of the models that ship in the package."""
    folder = Path(str(resources.files("unmask").joinpath("weights")))
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def locate_weights(model: str | Path) -> Path:
    """The weights file of a packaged model's name, or of a path.

    Raises:
        ConfigError: neither a packaged model nor a file.
    """
    packaged = packaged_models()
    if str(model) in packaged:
        return packaged[str(model)]
    path = Path(model)
    if path.suffix == ".safetensors":
        return path
    raise ConfigError(
        f"There is no model {str(model)!r}.",
        f"Packaged models: {', '.join(packaged) or 'none'}. Or give a .safetensors file.",
    )


def torch_device(device: str) -> str:
    """Where torch computes what it has to: OpenVINO runs the network alone, on the processor."""
    return "cpu" if device == OPENVINO else device


def choose_device(device: str) -> str:
    """Resolve `auto`, and refuse a device that is not there.

    Raises:
        ConfigError: unknown or absent device.
        MissingExtraError: openvino without its package.
    """
    if device == OPENVINO:
        runtime()
        return device
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"The device {device!r} cannot be used: {reason}", "Use --device cpu or auto."
        ) from error
    return device
