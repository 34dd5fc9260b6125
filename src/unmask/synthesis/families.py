"""The families of forgeries by name, and the one way to make a forgery of any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from numpy.random import Generator

from unmask.errors import ConfigError
from unmask.synthesis.autoencoder import KINDS, resynthesis
from unmask.synthesis.autoencoder_swap import PEOPLE, autoencoder_swap
from unmask.synthesis.blend import Mask, self_blend
from unmask.synthesis.diffusion import DIFFUSION_KINDS, diffusion
from unmask.synthesis.inpaint import INPAINTERS, inpaint
from unmask.synthesis.morph import MORPH_KINDS, morph
from unmask.synthesis.part_swap import PART_KINDS, part_swap
from unmask.synthesis.reenact import REENACT_KINDS, reenact
from unmask.synthesis.retouch import RETOUCHES, retouch
from unmask.synthesis.shape import Points
from unmask.synthesis.subject import Subject as Subject
from unmask.synthesis.swap import SWAP_KINDS, face_swap
from unmask.synthesis.upsample import NAMED_UPSAMPLERS, reupsample
from unmask.types import UInt8Image

Forgery = tuple[UInt8Image, Mask]
"""fake: like the face. mask: (H, W) bool, True where it was manipulated."""
Family = Callable[[UInt8Image, Points, Generator], Forgery]
"""(face, landmarks, rng) -> forgery, of one face."""
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
        painted: kind -> (identity, split) of a person whose looks the kind brings along.
        source: paper or description it was written from; '' for our own.
    """

    summary: str
    make: Callable[..., Forgery]
    kinds: tuple[str, ...] = ()
    two_people: bool = False
    painted: Mapping[str, tuple[str, str]] = field(default_factory=dict)
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
        kinds=NAMED_UPSAMPLERS,
    ),
    "resynthesis": FamilySpec(
        "the picture or a region of it rebuilt by a small learned autoencoder",
        resynthesis,
        kinds=KINDS,
    ),
    "diffusion": FamilySpec(
        "the picture or a region of it noised and denoised by a small diffusion model",
        diffusion,
        kinds=DIFFUSION_KINDS,
        source="Meng et al. 2022; Song et al. 2021",
    ),
    "face_swap": FamilySpec(
        "another person's face warped onto the head, recoloured and blended in",
        face_swap,
        kinds=SWAP_KINDS,
        two_people=True,
        source="Bitouk et al. 2008; Perez et al. 2003",
    ),
    "part_swap": FamilySpec(
        "eyes, nose or mouth of another person put in, as in a photomontage",
        part_swap,
        kinds=tuple(PART_KINDS),
        two_people=True,
    ),
    "reenact": FamilySpec(
        "mouth, eyes and brows moved to another person's or a drawn expression",
        reenact,
        kinds=REENACT_KINDS,
        two_people=True,
        source="Averbuch-Elor et al. 2017",
    ),
    "morph": FamilySpec(
        "a face between two people's in shape and texture",
        morph,
        kinds=MORPH_KINDS,
        two_people=True,
        source="Ferrara et al. 2014; Makrushin et al. 2017",
    ),
    "inpaint": FamilySpec(
        "a part of the face or a free form removed and filled from what surrounds it",
        inpaint,
        kinds=INPAINTERS,
        source="Telea 2004; Bertalmio et al. 2001; Wexler et al. 2007 with Barnes et al. 2009",
    ),
    "retouch": FamilySpec(
        "features warped as beauty filters do, or the skin made smooth",
        retouch,
        kinds=RETOUCHES,
        source="Gustafsson 1993; Tomasi & Manduchi 1998; He et al. 2013",
    ),
    "autoencoder_swap": FamilySpec(
        "one of four learned people painted over the face by an encoder with a decoder each",
        autoencoder_swap,
        kinds=tuple(PEOPLE),
        painted=PEOPLE,
        source="the first public face-swapping tools, as in Nguyen et al. 2022",
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
