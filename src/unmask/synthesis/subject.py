"""A face that can be forged, and what the families of two people do with it alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from unmask.errors import ConfigError
from unmask.synthesis.shape import Points
from unmask.synthesis.warp import check_landmarks, pupil_distance, settled
from unmask.types import UInt8Image, check_rgb


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A face that can be forged, or that can lend its looks to a forgery.

    Attributes:
        image: (H, W, 3) uint8 RGB crop.
        landmarks: (189, 2) x, y in its pixels.
        identity: who it is; two people's families never take a donor of the target's identity.
    """

    image: UInt8Image
    landmarks: Points
    identity: str


def checked(subject: Subject, what: str) -> Subject:
    """The subject with `settled` landmarks.

    Raises:
        ShapeError: its picture is not RGB, or its landmarks are not 189 points of a face.
    """
    check_rgb(subject.image, what)
    check_landmarks(subject.landmarks, what)
    return replace(subject, landmarks=settled(subject.landmarks))


def drawn_kind(kind: str | None, kinds: tuple[str, ...], family: str, rng: Generator) -> str:
    """The kind asked for, or a random one.

    Raises:
        ConfigError: it is none of the family's.
    """
    if kind is None:
        return kinds[int(rng.integers(len(kinds)))]
    if kind not in kinds:
        raise ConfigError(f"{family} has no kind {kind!r}.", f"Its kinds: {', '.join(kinds)}.")
    return kind


def fitted(donor: Subject, target: Subject, *, factor: float = 1.0) -> Subject:
    """The donor reduced to `factor` times the target's scale, where its own is larger.

    Reducing before a warp averages what a warp that skips pixels would alias.
    """
    sizes = pupil_distance(target.landmarks), pupil_distance(donor.landmarks)
    scale = factor * sizes[0] / max(sizes[1], 1e-6)
    height, width = donor.image.shape[:2]
    if scale >= 1:
        return donor
    size = max(2, round(width * scale)), max(2, round(height * scale))
    image = np.asarray(cv2.resize(donor.image, size, interpolation=cv2.INTER_AREA))
    ratio = np.array([size[0] / width, size[1] / height])
    return replace(donor, image=image, landmarks=(donor.landmarks + 0.5) * ratio - 0.5)
