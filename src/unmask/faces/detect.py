"""Find the faces of a frame, whichever way up the picture is and however tightly it was cut."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from unmask.errors import ConfigError
from unmask.faces import boxes as bx
from unmask.faces.align import FIVE_POINTS, similarity
from unmask.types import Box, Face, FloatArray, Frame, UInt8Image, check_rgb

if TYPE_CHECKING:
    from unmask.faces.mtcnn import MTCNN, Compiler

WORKING_SIDE = 1280
"""Longer side in pixels above which a picture is reduced before the search."""
MIN_FACE = 40.0
"""In pixels of the reduced picture. All of 413 portraits are found with 20, 24, 32 and 40; 24 costs
1.6 times the time at 512 pixels and finds more texture."""
SURE = 0.9
"""Confidence below which a find is dropped: faces of four collections reach 0.957 and more, noise,
textures and clothes 0.865 at most."""
BESIDE = 0.25
SURE_BESIDE = 0.99
"""Needed by a face smaller than `BESIDE` x the largest: buttons and ears beside portraits."""
CERTAIN = 0.996
CERTAIN_ROLL = 25.0
"""Confidence, and most degrees of roll, of a face after which no other view is tried: 98 %
of 300 upright portraits (at 0.998, 94 %), and 7 of their 900 turned copies (0)."""
TURNED_ODDS = 8.0
"""How much smaller the doubt (1 - confidence) of a turned view must be than the upright one's.
Faces turned by 90 or 180 degrees are often found as they are, with 0.9 and more but false
landmarks, so the first find is not enough: with this rule all of 150 upright portraits keep their
orientation, and 435 of their 450 turned copies get it back."""
PADDING = 0.25
"""Border added around a tight crop, as a share of its longer side: of crops cut to 0.7 x the box,
98 of 107 are found with 0.25, 75 with 0.5. A black border finds 85; a mirrored one 99, but its
landmarks are less exact (median error 0.040 of the face, against 0.029)."""
GLANCE = 96.0
"""Side in pixels at which a face is easily told from none: turned views are first tried there."""
VIEWS = ((0, False), (0, True), (1, False), (2, False), (3, False), (1, True), (2, True), (3, True))
"""(quarter turns, padded) in the order they are tried."""


class FaceDetector(Protocol):
    """Anything that finds upright faces."""

    def detect(self, image: UInt8Image) -> list[Face]:
        """Faces of (H, W, 3) uint8 RGB, largest box first, in pixels of `image`."""
        ...


class MTCNNDetector:
    """The packaged face detector. Loads its weights (2 MB) and torch on first use.

    Args:
        device: where the networks run, as torch names it.
        min_face: smallest face to look for, in pixels of the picture after it was reduced to
            `WORKING_SIDE`; at least 12.
        thresholds: face probability needed to pass the three stages.
        compiler: runs the second and third network (`MTCNN.compile_judges`); torch by default.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        min_face: float = MIN_FACE,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        compiler: Compiler | None = None,
    ) -> None:
        if not min_face >= 12:
            raise ConfigError(f"min_face must be at least 12 pixels; got {min_face}.")
        if len(thresholds) != 3 or not all(0 < t < 1 for t in thresholds):
            raise ConfigError(f"thresholds must be three numbers in (0, 1); got {thresholds}.")
        self.device = device
        self.min_face = float(min_face)
        self.thresholds = thresholds
        self._compiler = compiler
        self._net: MTCNN | None = None
        self._making = Lock()

    def detect(self, image: UInt8Image) -> list[Face]:
        """All upright faces, largest first.

        Args:
            image: (H, W, 3) uint8 RGB of any size.

        Raises:
            ShapeError: not uint8 RGB.
            CheckpointError: the packaged weights cannot be loaded.
        """
        check_rgb(image, "image")
        working = _reduced(image)
        scale = image.shape[1] / working.shape[1], image.shape[0] / working.shape[0]
        found = self._networks().detect(working, self.min_face)
        faces = [
            Face(_as_box(box * np.tile(scale, 2)), (points * scale).astype(np.float32), float(p))
            for box, p, points in zip(*found, strict=True)
            if (box[2:] > box[:2]).all()
        ]
        return sorted(faces, key=_area, reverse=True)

    def _networks(self) -> MTCNN:
        """Made by whichever thread needs them first, while the others wait for them."""
        with self._making:
            if self._net is None:
                from unmask.faces.mtcnn import MTCNN

                net = MTCNN.pretrained(self.thresholds, self.device)
                if self._compiler is not None:
                    net.compile_judges(self._compiler)
                self._net = net
            return self._net


def find_faces(
    frame: Frame, detector: FaceDetector, *, max_faces: int = 8, thorough: bool = True
) -> list[Face]:
    """The faces of a frame, in the frame's own pixels, largest first.

    Looks at the picture as it is and stops at a face that is certain. Otherwise it tries the other
    quarter turns (`Face.quarter_turns`) and, while nothing is found, adds a border to the picture,
    which may be a tight face crop (`Face.tight`). The most confident view counts, an upright one
    more (`TURNED_ODDS`).

    Args:
        frame: the picture.
        detector: finds upright faces.
        max_faces: how many of the largest to return.
        thorough: False looks only at the picture as it is: upright, neither padded nor turned.

    Raises:
        ConfigError: `max_faces` is not positive.
    """
    if max_faces < 1:
        raise ConfigError(f"max_faces must be at least 1; got {max_faces}.")
    best: list[Face] = []
    upright_doubt = 1.0
    for turns, padded in VIEWS if thorough else VIEWS[:1]:
        if padded and best:
            continue
        if turns and best and not _may_be_turned(frame.image, detector, turns, best, upright_doubt):
            continue
        faces, certain = _look(frame.image, detector, turns, PADDING if padded else 0.0)
        if turns == 0:
            upright_doubt = min(upright_doubt, _doubt(faces))
        elif _doubt(faces) * TURNED_ODDS > upright_doubt:
            continue
        if certain:
            return faces[:max_faces]
        best = min(best, faces, key=_doubt)
    return best[:max_faces]


def _may_be_turned(
    image: UInt8Image, detector: FaceDetector, turns: int, upright: list[Face], doubt: float
) -> bool:
    """A cheap look before a full one: whether the turned picture, so reduced that the upright
    find would measure `GLANCE` pixels, shows a face that is surer than that find."""
    scale = GLANCE / max(face.side for face in upright)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _doubt(_look(image, detector, turns, 0.0)[0]) < doubt


def _look(
    image: UInt8Image, detector: FaceDetector, turns: int, padding: float
) -> tuple[list[Face], bool]:
    """Plausible faces after a border and `turns` quarter turns, and whether one is certain."""
    height, width = image.shape[:2]
    border = round(padding * max(height, width))
    seen = np.ascontiguousarray(np.rot90(_bordered(image, border), turns))
    faces = plausible([f for f in detector.detect(seen) if _shows(f, seen, border)])
    certain = any(f.confidence >= CERTAIN and abs(_roll(f)) <= CERTAIN_ROLL for f in faces)
    size = (width + 2 * border, height + 2 * border)
    return [_mapped_back(f, turns, size, border) for f in faces], certain


def _roll(face: Face) -> float:
    """Degrees by which the face leans, from all five landmarks."""
    matrix = similarity(FIVE_POINTS, face.landmarks)
    return float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))


def plausible(faces: list[Face]) -> list[Face]:
    """The faces that are not likely to be texture.

    Args:
        faces: largest first.

    Returns:
        Those with confidence `SURE`; beside a face several times larger, `SURE_BESIDE`.
    """
    sure = [face for face in faces if face.confidence >= SURE]
    if not sure:
        return []
    limit = BESIDE * sure[0].side
    return [f for f in sure if f.side >= limit or f.confidence >= SURE_BESIDE]


def _bordered(image: UInt8Image, border: int) -> UInt8Image:
    if not border:
        return image
    padded: UInt8Image = cv2.copyMakeBorder(
        image, border, border, border, border, cv2.BORDER_REPLICATE
    )
    return padded


def _shows(face: Face, seen: UInt8Image, border: int) -> bool:
    """At least a quarter of the box lies on the picture itself, not on the border or beyond."""
    height, width = seen.shape[:2]
    inner = np.array([border, border, width - border, height - border], dtype=np.float64)
    box = np.array([face.box], dtype=np.float64)
    shared = np.concatenate([np.maximum(inner[:2], box[0, :2]), np.minimum(inner[2:], box[0, 2:])])
    return float(bx.areas(shared)) >= 0.25 * float(bx.areas(box[0]))


def _mapped_back(face: Face, turns: int, size: tuple[int, int], border: int) -> Face:
    """A face of the bordered and turned picture, in pixels of the frame.

    Args:
        size: (width, height) of the bordered picture before the turn.
    """
    corners = np.array([face.box[:2], face.box[2:]], dtype=np.float32)
    points = _turned_back(np.concatenate([corners, face.landmarks]), turns, size) - border
    low, high = points[:2].min(axis=0), points[:2].max(axis=0)
    return replace(
        face,
        box=_as_box(np.concatenate([low, high])),
        landmarks=points[2:].astype(np.float32),
        quarter_turns=turns,
        tight=border > 0,
    )


def _turned_back(points: FloatArray, turns: int, size: tuple[int, int]) -> FloatArray:
    """Undo np.rot90(picture, turns) for continuous x, y; `size` is the unturned (width, height)."""
    width, height = size
    x, y = points[:, 0], points[:, 1]
    if turns == 1:  # the turned picture is as wide as this one is high
        return np.stack([width - y, x], axis=1)
    if turns == 2:
        return np.stack([width - x, height - y], axis=1)
    if turns == 3:
        return np.stack([y, height - x], axis=1)
    return points


def _reduced(image: UInt8Image) -> UInt8Image:
    height, width = image.shape[:2]
    scale = WORKING_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    reduced: UInt8Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return reduced


def _doubt(faces: list[Face]) -> float:
    return 1.0 - max((face.confidence for face in faces), default=0.0)


def _area(face: Face) -> float:
    return (face.box[2] - face.box[0]) * (face.box[3] - face.box[1])


def _as_box(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Box:
    x0, y0, x1, y1 = (float(v) for v in values)
    return x0, y0, x1, y1
