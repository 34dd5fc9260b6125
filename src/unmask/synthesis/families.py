"""The families of forgeries by name, and the one way to make a forgery of any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from numpy.random import Generator

from unmask.errors import ConfigError
from unmask.synthesis.autoencoder import KINDS, resynthesis
from unmask.synthesis.blend import Mask, self_blend
from unmask.synthesis.shape import Points
from unmask.synthesis.upsample import UPSAMPLERS, reupsample
from unmask.types import UInt8Image

Forgery = tuple[UInt8Image, Mask]
"""fake: like the face. mask: (H, W) bool, True where it was manipulated."""
Family = Callable[[UInt8Image, Points, Generator], Forgery]
"""(face, landmarks, rng) -> forgery, of one face."""


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


PairFamily = Callable[[Subject, Subject, Generator], Forgery]
"""(target, donor, rng) -> forgery; the fake has the target's size and surroundings."""


@dataclass(frozen=True, slots=True)
class FamilySpec:
    """A family of forgeries.

    Attributes:
        summary: what is done to the face, in one line.
        make: a `Family`, or a `PairFamily` where `two_people`; takes the keyword `kind` where
            there are `kinds`.
        kinds: variants that can be asked for as `family-kind`; one is drawn when none is.
        two_people: needs a second person's face.
        source: paper or description it was written from; '' for our own.
    """

    summary: str
    make: Callable[..., Forgery]
    kinds: tuple[str, ...] = ()
    two_people: bool = False
    source: str = ""


SPECS: dict[str, FamilySpec] = {
    "self_blend": FamilySpec(
        "a face blended with a slightly changed copy of itself",
        self_blend,
        source="Shiohara & Yamasaki 2022",
    ),
    "reupsample": FamilySpec(
        "the picture or a region of it reduced and upsampled again by a fixed kernel",
        reupsample,
        kinds=UPSAMPLERS,
    ),
    "resynthesis": FamilySpec(
        "the picture or a region of it rebuilt by a small learned autoencoder",
        resynthesis,
        kinds=KINDS,
    ),
}
"""name -> family."""

TRAINING_FAMILIES: dict[str, Family] = {
    # as published, the ground is changed as often as the copy; the mask is then the seam's
    "self_blend": partial(self_blend, ground=0.5),
    "reupsample": reupsample,
    "resynthesis": resynthesis,
}
"""One-face families that training makes on the fly."""


def variants(family: str, spec: FamilySpec) -> tuple[str, ...]:
    """The names `family-kind` that `forge` takes beside `family`."""
    return tuple(f"{family}-{kind}" for kind in spec.kinds)


def parse_family(name: str) -> tuple[FamilySpec, str | None]:
    """Split `family` or `family-kind` into the family and the kind (None: drawn per forgery).

    Raises:
        ConfigError: there is no such family or kind; the message lists them.
    """
    family, _, kind = name.partition("-")
    if family not in SPECS:
        raise ConfigError(
            f"There is no family of forgeries {family!r}.", f"Choose of: {', '.join(SPECS)}."
        )
    spec = SPECS[family]
    if kind and kind not in spec.kinds:
        known = ", ".join(variants(family, spec)) or f"none; say {family}"
        raise ConfigError(f"{family} has no kind {kind!r}.", f"Its kinds: {known}.")
    return spec, kind or None


def forge(name: str, target: Subject, rng: Generator, donors: Sequence[Subject] = ()) -> Forgery:
    """Make one forgery.

    Args:
        name: `family` or `family-kind`.
        target: the face to forge.
        rng: decides everything; the same state and donors give the same forgery.
        donors: faces of other people, one of which is drawn where the family needs two; those of
            the target's identity are passed over.

    Raises:
        ConfigError: unknown name, or a family of two people without a second person.
        ShapeError: a bad picture, or landmarks that do not fit it.
    """
    spec, kind = parse_family(name)
    given = {} if kind is None else {"kind": kind}
    if not spec.two_people:
        return spec.make(target.image, target.landmarks, rng, **given)
    others = [donor for donor in donors if donor.identity != target.identity]
    if not others:
        raise ConfigError(
            f"{name} needs the face of a second person beside {target.identity!r}.",
            "Give pictures of at least two people.",
        )
    return spec.make(target, others[int(rng.integers(len(others)))], rng, **given)
