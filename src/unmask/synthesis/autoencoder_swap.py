"""The original deepfake: a shared encoder and one decoder per person.

Trained to rebuild several people's aligned faces from randomly warped ones, the encoder keeps what
they share (pose, expression, light) and each decoder paints its own person. Given anyone's face, a
decoder paints its person with that pose and expression. The result is brought to the target's
colours and laid back through a feathered hull, as the first public tools did. Described in Nguyen
et al. 2022, "Deep Learning for Deepfakes Creation and Detection: A Survey", section 2.

Faces are 64 x 64 pixels, so that a swap is as soft as its ancestors were. The weights were trained
by `tools/train_autoencoder_swap.py` on the London Set and Congress only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Final, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.faces.align import invert, similarity
from unmask.synthesis.blend import Alpha, Mask, composite, hull_alpha
from unmask.synthesis.packaged import with_weights
from unmask.synthesis.shape import BROWS, FIVE, HULLS, MOUTH, Points, mean_shape
from unmask.types import UInt8Image, check_rgb

FloatImage = NDArray[np.float32]
PEOPLE: Final[Mapping[str, tuple[str, str]]] = {
    "a": ("london/037", "train"),
    "b": ("london/064", "train"),
    "c": ("london/017", "val"),
    "d": ("london/007", "test"),
}
"""kind -> (identity, split) of the people that can be painted in; each has a decoder of this name.
Every split has somebody, so that a data set's forgeries show nobody of another split."""
SIDE: Final = 64
CENTRE, REACH = (0.0, 0.65), 1.2
"""The aligned square: its centre and half its side in the mean shape, in pupil distances."""
CODE: Final = 64
_MAPS: Final = 32
INNER: Final = (*BROWS, *MOUTH, 160, 163, 165, 168, 174, 176, 178)
"""From the brows to below the mouth, without jaw and temples."""
_KERNELS: Final = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


class Encoder(nn.Module):
    """(N, 3, 64, 64) standardised RGB -> (N, 64) code; the same for all people.

    A code and no map of places, which could carry the target's looks. Training adds noise to it
    and keeps it small, so that what one person's face gives means something to all decoders. The
    packaged encoder's codes have zero mean over all people.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 28, 56, 84, 84)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 4, 2, 1) for i, o in pairwise(widths))
        self.narrow = nn.Linear(16 * widths[-1], CODE)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - 0.5) * 3
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
        return cast(Tensor, self.narrow(x.flatten(1)))


class Decoder(nn.Module):
    """(N, 64) code -> (N, 3, 64, 64) standardised RGB, unclipped; one person's.

    `axes` (64, 64) and `spread` (64,) are the principal directions and deviations of this person's
    codes about their mean, measured after training; `known` uses them.
    """

    axes: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        widths = (_MAPS, 48, 32, 24, 16)
        self.widen = nn.Linear(CODE, 16 * _MAPS)
        self.convs = nn.ModuleList(nn.Conv2d(i, 4 * o, 3, 1, 1) for i, o in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], 3, 3, 1, 1)
        self.register_buffer("axes", torch.eye(CODE))
        self.register_buffer("spread", torch.ones(CODE))

    def known(self, code: Tensor) -> Tensor:
        """Bring anyone's code within two deviations of this person's, along each direction.

        Two pictures of a person span little: what else a stranger's code says (another light,
        another head) the decoder has never seen, and would paint as noise.
        """
        along = (code @ self.axes.T).clamp(-2 * self.spread, 2 * self.spread)
        return along @ self.axes

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.widen(x).view(-1, _MAPS, 4, 4), 0.1)
        for conv in self.convs:
            x = F.leaky_relu(F.pixel_shuffle(conv(x), 2), 0.1)
        return cast(Tensor, self.last(x) + 0.5)


@cache
def pretrained(person: str) -> tuple[Encoder, Decoder]:
    """The packaged encoder and one person's decoder, in eval mode."""
    return with_weights(Encoder(), "swap_encoder"), with_weights(Decoder(), f"swap_{person}")


def aligning(landmarks: Points, side: int = SIDE, reach: float = REACH) -> NDArray[np.float64]:
    """(2, 3) similarity that brings a face into the aligned square of `side` pixels.

    Raises:
        ShapeError: the landmarks coincide.
    """
    template = (mean_shape()[list(FIVE)] - CENTRE + reach) * (side / (2 * reach)) - 0.5
    return similarity(landmarks[list(FIVE)], template)


@cache
def oval() -> Mask:
    """(64, 64) bool: the part of the aligned square that is face on anyone."""
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    return np.asarray((axis[None] / 0.8) ** 2 + (axis[:, None] / 0.88) ** 2 < 1)


def standardised(face: FloatImage) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Take a face's own colours out, so that the networks see features only.

    Args:
        face: (64, 64, 3) float32, aligned, of any scale.

    Returns:
        standard: like `face`, each channel with mean 0.5 and deviation 0.18 in the `oval`.
        mean, deviation: (3,) that were there; `(standard - 0.5) / 0.18 * deviation + mean` undoes
        it.
    """
    inside = face[oval()]
    mean, deviation = inside.mean(axis=0), inside.std(axis=0)
    # never spread what is flat: noise would become a face
    standard = (face - mean) / np.maximum(deviation, 1e-2 * max(float(mean.max()), 1e-6))
    return (standard * 0.18 + 0.5).astype(np.float32), mean, deviation


@torch.inference_mode()
def paint(aligned: UInt8Image, person: str) -> FloatImage:
    """Paint `person` over an aligned face, in the face's own colours.

    Colours are matched as Reinhard et al. 2001 do, by each channel's mean and deviation.

    Args:
        aligned: (64, 64, 3) uint8 RGB.
        person: one of `PEOPLE`.

    Returns:
        (64, 64, 3) float32, 0-255.
    """
    encoder, decoder = pretrained(person)
    standard, mean, deviation = standardised(aligned.astype(np.float32))
    batch = torch.from_numpy(standard).permute(2, 0, 1)[None]
    painted = decoder(decoder.known(encoder(batch)))[0].permute(1, 2, 0).numpy()
    again, _, _ = standardised(painted)
    coloured = (again - 0.5) / 0.18 * deviation + mean
    return np.asarray(np.clip(coloured, 0, 255), np.float32)


def feathered_hull(shape: tuple[int, int], landmarks: Points, rng: Generator) -> Alpha:
    """(H, W) float32: the face's hull drawn in a little, with an edge that falls off inwards.

    Raises:
        ShapeError: the hull does not meet the picture.
    """
    unit = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    points = landmarks[list(HULLS["face"] if rng.random() < 0.7 else INNER)]
    points = points + (points.mean(axis=0) - points) * float(rng.uniform(0.0, 0.1))
    hull = hull_alpha(shape, points)
    feather = float(rng.uniform(0.04, 0.15)) * unit
    size = 2 * round(feather) + 1
    eroded = cv2.erode(hull, np.ones((size, size), np.uint8), borderValue=1.0)
    soft = cv2.GaussianBlur(eroded if eroded.any() else hull, (0, 0), max(feather / 2, 0.5))
    return np.asarray(soft, np.float32)


def autoencoder_swap(
    face: UInt8Image, landmarks: Points, rng: Generator, kind: str | None = None
) -> tuple[UInt8Image, Mask]:
    """Paint one of the learned people over a face.

    Args:
        face: (H, W, 3) uint8 RGB.
        landmarks: (189, 2) x, y in its pixels.
        rng: decides everything that is not given.
        kind: one of `PEOPLE`; random when None.

    Returns:
        fake: like `face`. mask: (H, W) bool, True where the painted face has visible weight.

    Raises:
        ShapeError: bad picture, or landmarks outside it.
        ConfigError: unknown `kind`.
    """
    check_rgb(face, "autoencoder_swap's face")
    if kind is not None and kind not in PEOPLE:
        raise ConfigError(f"There is no person {kind!r}; choose of {', '.join(PEOPLE)}.")
    person = kind or list(PEOPLE)[int(rng.integers(len(PEOPLE)))]
    height, width = face.shape[:2]
    alpha = feathered_hull((height, width), landmarks, rng)
    matrix = aligning(landmarks)
    aligned = _shown(face, matrix, (SIDE, SIDE))
    kernel = _KERNELS[int(rng.integers(len(_KERNELS)))]
    back = cv2.warpAffine(
        paint(aligned, person),
        invert(matrix),
        (width, height),
        flags=kernel,
        borderMode=cv2.BORDER_REFLECT,
    )
    if rng.random() < 0.5:  # tools sharpen what 64 pixels leave soft
        soft = cv2.GaussianBlur(back, (0, 0), max(width / 128, 1.0))
        back = back + (back - soft) * float(rng.uniform(0.3, 1.0))
    return composite(np.clip(np.rint(back), 0, 255).astype(np.uint8), face, alpha)


def _shown(face: UInt8Image, matrix: NDArray[np.float64], size: tuple[int, int]) -> UInt8Image:
    """Warp into a smaller square without aliasing: blurred first by what the scale asks for."""
    shrink = 1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink > 1.2:
        face = cv2.GaussianBlur(face, (0, 0), 0.45 * shrink)
    warped = cv2.warpAffine(
        face, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped)
