"""Part swap: eyes, nose or mouth of another person put into a face, as in a photomontage.

What an expert composes from several portraits differs from a face swap in size: most of the face
stays, and what is put in ends where the face has folds and shadows of its own. Alignment, colours
and blending are those of `swap`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.random import Generator

from unmask.synthesis.blend import Mask, hull_alpha
from unmask.synthesis.inpaint import part
from unmask.synthesis.shape import HULLS
from unmask.synthesis.subject import Subject, checked, drawn_kind
from unmask.synthesis.swap import SWAP_KINDS, grafted
from unmask.types import UInt8Image

PART_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "eyes": ("left_eye", "right_eye", "left_brow", "right_brow"),
    "eye": ("left_eye", "left_brow"),
    "nose": ("nose",),
    "mouth": ("mouth",),
    "several": ("left_eye", "right_eye", "left_brow", "right_brow", "nose", "mouth"),
}
"""kind -> parts of `inpaint.PARTS` that are put in; of `several` each by chance."""


def part_swap(
    target: Subject, donor: Subject, rng: Generator, kind: str | None = None
) -> tuple[UInt8Image, Mask]:
    """Put parts of the donor's face into the target's.

    Feathered or Poisson-blended, each in half of the cases; colours and softness are drawn.

    Args:
        target: whose picture and whose remaining face stay.
        donor: whose parts are seen afterwards.
        rng: decides everything that is not given.
        kind: one of `PART_KINDS`; random when None.

    Returns:
        fake: like the target's picture. mask: (H, W) bool, True where the donor's parts have
        visible weight.

    Raises:
        ShapeError: a bad picture, or landmarks that do not fit their picture.
        ConfigError: unknown `kind`.
    """
    target, donor = checked(target, "part_swap's target"), checked(donor, "part_swap's donor")
    kind = drawn_kind(kind, tuple(PART_KINDS), "part_swap", rng)
    names = PART_KINDS[kind]
    if kind == "several":
        count = int(rng.integers(2, len(names)))
        names = tuple(names[i] for i in sorted(rng.permutation(len(names))[:count]))
    shape = target.image.shape[:2]
    region = np.zeros(shape, np.float32)
    for name in names:
        region[part(name, target.landmarks, shape, rng)] = 1.0
    # an eye has other colours than the skin around it: those of the whole face are matched
    face = hull_alpha(shape, target.landmarks[list(HULLS["face"])])
    blending = SWAP_KINDS[int(rng.integers(len(SWAP_KINDS)))]
    return grafted(target, donor, region, face, rng, blending, factor=1.0)
