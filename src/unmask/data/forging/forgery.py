"""What decides how forgeries come out, and what is kept of each: settings, tasks, records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.random import Generator
from pydantic import BaseModel, ConfigDict, Field, field_validator

from unmask.data.record_log import PASSING
from unmask.data.settings import HashedSettings
from unmask.errors import ConfigError
from unmask.results import REASONS as MEDIA_REASONS
from unmask.synthesis.families import parse_family
from unmask.synthesis.landmarks import LandmarkSource

REASONS: dict[str, str] = {
    **MEDIA_REASONS,
    "unchanged": "the forgery drawn for this face changes no pixel",
    "not_forgeable": "the face does not lend itself to this family",
    "no_donor": "no face of another person of the same source and split",
    "changed_meanwhile": "the file is not what it was when its face was looked for",
}
"""Why a picture, or a picture in one family, gave no forgery, with its meaning for a person."""

RETRIED = PASSING | {"changed_meanwhile"}
"""Reasons that may not hold the next time."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(HashedSettings):
    """Settings of `unmask synthesize`. Two folders with the same hash were made alike."""

    format: Literal[1] = 1
    """A change in how forgeries are drawn or kept raises it."""
    families: Annotated[tuple[str, ...], Field(min_length=1)]
    """`family` or `family-kind`, as `unmask.synthesis.families.forge` takes them."""
    per_face: Annotated[int, Field(ge=1)] = 1
    """Forgeries of every face by every family."""
    seed: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int | None, Field(ge=1)] = None
    """Use at most so many pictures, drawn by the seed."""
    encode: Literal["png", "jpeg"] = "png"
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    """Of JPEG, with 4:2:0 chroma; PNG is lossless and has none."""
    launder: bool = False
    """Send every face and its forgeries through one random chain of resize, blur, noise, JPEG."""
    landmarks: Literal["mesh", "mean_shape"] = "mesh"
    """Of faces that come without their own: mesh where it finds a face, or always the mean shape
    (the extra `landmarks` is not installed)."""

    @field_validator("families")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            parse_family(name)
        if len(set(names)) < len(names):
            raise ConfigError(f"A family is named twice: {', '.join(names)}.")
        return names


def make_settings(**given: Any) -> Settings:
    """Settings by name; the others have their defaults.

    Raises:
        ConfigError: an unknown name, a value out of range, or no such family.
    """
    return Settings.of(**given)


class Source(_Model):
    """One real picture, as far as it decides what is made of it.

    Attributes:
        name: file name of all that is made of it, unique among the inputs.
        path: absolute.
        people: who is in it; of an unknown person, a name nobody else has.
        crop: it is a face crop already.
        points: x0, y0, x1, y1, ... that came with it, in its pixels; empty without.
    """

    name: str
    path: str
    people: tuple[str, ...]
    crop: bool
    points: tuple[float, ...]

    def key(self) -> str:
        """Hash of all of it, and of the file's size: a changed picture is looked at again."""
        try:
            size = Path(self.path).stat().st_size
        except OSError:
            size = -1
        return hashlib.sha256(json.dumps([self.model_dump(), size]).encode()).hexdigest()


class Found(_Model):
    """The face of one picture, or why there is none.

    Attributes:
        name: of the source; key: its `key()`.
        sha256: of the file; '' where it could not be read.
        reason: of `REASONS`, '' when there is a face; message: more, for a person.
        box: xyxy of the crop in the picture, before `turns` quarter turns counter-clockwise; None
            where the picture is the crop.
        five: (5, 2) flat, in the crop's pixels: eyes, nose, mouth corners.
        landmarks: (189, 2) flat, likewise; source: where they come from.
    """

    name: str
    key: str
    sha256: str = ""
    reason: str = ""
    message: str = ""
    box: tuple[int, int, int, int] | None = None
    turns: int = 0
    five: tuple[float, ...] = ()
    landmarks: tuple[float, ...] = ()
    source: LandmarkSource | None = None

    @property
    def final(self) -> bool:
        """Whether looking again would come to the same."""
        return self.reason not in RETRIED


class Face(_Model):
    """A source whose face was found."""

    source: Source
    found: Found


class Order(_Model):
    """One forgery to be made.

    Attributes:
        family: as in the settings. number: the how-manieth of it.
        donor: the second person's face. painted: the kind of a family that brings its people along.
    """

    family: str
    number: int
    donor: Face | None = None
    painted: str = ""


class Task(_Model):
    """All forgeries of one face; `key` hashes all that decides them."""

    face: Face
    orders: tuple[Order, ...]
    key: str


class Made(_Model):
    """One forgery that was written: paths below the output folder, with forward slashes."""

    family: str
    number: int
    path: str
    mask_path: str
    donor: str = ""
    painted: str = ""


class Loss(_Model):
    """A forgery that was not made."""

    family: str
    number: int
    reason: str
    message: str = ""


class Forged(_Model):
    """What became of one task.

    Attributes:
        name, key: of the task's source, and of the task.
        real: the face itself, through the same chain; '' when no forgery was made.
        side: width and height of all its pictures, in pixels.
        five: (5, 2) flat, in their pixels.
        box: as of `Found`.
    """

    name: str
    key: str
    real: str = ""
    side: tuple[int, int] = (0, 0)
    five: tuple[float, ...] = ()
    box: tuple[int, int, int, int] | None = None
    made: tuple[Made, ...] = ()
    lost: tuple[Loss, ...] = ()

    @property
    def final(self) -> bool:
        """Whether doing it again would come to the same."""
        return not any(loss.reason in RETRIED for loss in self.lost)

    @property
    def files(self) -> list[str]:
        """All that was written."""
        pairs = [(made.path, made.mask_path) for made in self.made]
        return [self.real, *(path for pair in pairs for path in pair)] if self.real else []


def draws(seed: int, *what: object) -> Generator:
    """Random numbers that depend on the seed and on what they are for, and on nothing else."""
    digest = hashlib.sha256("\n".join(map(str, (seed, *what))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def file_name(video: str, frame: int | None, path: str) -> str:
    """A readable name for what is made of one row of an index, with a piece of its hash.

    >>> file_name("london/real/raw/001", 0, "pictures/london/001 03.jpg")
    'london_001_03-24ddafca8424'
    """
    digest = hashlib.sha256("\n".join((video, str(frame), path)).encode()).hexdigest()[:12]
    told = "_".join(Path(path).with_suffix("").parts[-2:])
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in told[-40:])
    return f"{stem}-{digest}"


def flat(points: Sequence[Sequence[float]] | np.ndarray[Any, Any]) -> tuple[float, ...]:
    """(N, 2) points as x0, y0, x1, y1, ..., to a sixty-fourth of a pixel.

    What the last bit of a processor's arithmetic says must not reach the forgeries.
    """
    return tuple((np.rint(np.asarray(points, np.float64) * 64) / 64).ravel().tolist())
