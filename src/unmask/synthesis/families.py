"""The families of forgeries by name."""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator

from unmask.synthesis.autoencoder import resynthesis
from unmask.synthesis.blend import Mask, self_blend
from unmask.synthesis.shape import Points
from unmask.synthesis.upsample import reupsample
from unmask.types import UInt8Image

Family = Callable[[UInt8Image, Points, Generator], tuple[UInt8Image, Mask]]

FAMILIES: dict[str, Family] = {
    "self_blend": self_blend,
    "reupsample": reupsample,
    "resynthesis": resynthesis,
}
"""name -> (face, landmarks, rng) -> (fake, mask)."""
