"""What decides how crops come out, as data with a name: the hash of its own content."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from unmask.data.atomic import replace_text
from unmask.data.settings import HashedSettings
from unmask.errors import DatasetError

PROFILE_FILE = "profile.json"

FaceRule = Literal["largest", "mask", "all"]


@cache
def _detector_weights() -> str:
    weights = resources.files("unmask.faces").joinpath("weights", "mtcnn.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


class Profile(HashedSettings):
    """Settings of `unmask prepare`. Two folders with the same hash were prepared alike."""

    format: Literal[1] = 1
    """Of the folder; a change in how crops are cut or kept raises it."""
    frames: Annotated[int, Field(ge=1)] = 32
    """The most frames per video, spread evenly over it."""
    margin: Annotated[float, Field(gt=0, le=10)] = 1.3
    """Side of the crop relative to the longer side of the face's box."""
    face: FaceRule = "largest"
    """Which of several faces: see `unmask.data.preparing.follow.choose`."""
    mask_threshold: Annotated[int, Field(ge=0, le=254)] = 127
    """A mask is True where the brightest channel of its picture, 0 to 255, is above this."""
    detector: Literal["mtcnn"] = "mtcnn"
    detector_sha256: str = Field(default_factory=_detector_weights, pattern="^[0-9a-f]{64}$")
    """Of the detector's weights."""


def make_profile(**settings: Any) -> Profile:
    """A profile from settings by name; the others have their defaults.

    Raises:
        ConfigError: an unknown name or a value out of range, each with its name.
    """
    return Profile.of(**settings)


def claim(out: Path, profile: Profile, dataset: str) -> None:
    """Make `out` the folder of one data set under one profile, or see that it is.

    Raises:
        DatasetError: the folder holds another data set, was made with other settings, or is
            neither empty nor of `unmask prepare`.
    """
    path = out / PROFILE_FILE
    content = {"dataset": dataset, "sha256": profile.sha256, "settings": profile.model_dump()}
    if path.is_file():
        _check_claim(path, content)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(
            f"{out} is not empty, and not a folder of `unmask prepare`: it has no {PROFILE_FILE}.",
            "Nothing was written. Choose another --out.",
        )
    out.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(content, indent=2) + "\n")


def _check_claim(path: Path, wanted: dict[str, Any]) -> None:
    try:
        found = json.loads(path.read_text("utf-8"))
        settings, dataset, digest = found["settings"], found["dataset"], found["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is damaged: {error}.", "Choose another --out.") from error
    hint = "Nothing was written. Choose another --out, or repeat the settings of this one."
    if dataset != wanted["dataset"]:
        raise DatasetError(f"{path.parent} holds the data set {dataset!r}.", hint)
    if digest != wanted["sha256"]:
        names = [k for k, v in wanted["settings"].items() if settings.get(k, v) != v]
        told = [f"{k} {settings[k]} there, {wanted['settings'][k]} here" for k in names]
        raise DatasetError(
            f"{path.parent} was prepared with another profile: {'; '.join(told) or digest}.", hint
        )
