"""Pictures that are scored and not trained on, through the same path as training pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import overload

import numpy as np
from numpy.random import Generator

from unmask.data.crops import Crops
from unmask.data.dataset import bounded
from unmask.data.pairing import is_of, own_fakes
from unmask.synthesis.families import TRAINING_FAMILIES, Family
from unmask.synthesis.shape import dense_landmarks
from unmask.transforms.codecs import video_still, webp
from unmask.transforms.levels import PERTURBATIONS
from unmask.transforms.perturb import gaussian_blur, grid_shift, jpeg
from unmask.transforms.preprocess import InputSpec, Views, to_views
from unmask.transforms.scale import rescale
from unmask.types import FloatArray, UInt8Image


class MadeViews(Sequence[Views]):
    """Views made on demand; all sets together keep at most `ROOM` bytes of them.

    Args:
        indices: of the crops.
        make: index of a crop -> its views; always the same.
    """

    ROOM = 4 << 30
    kept = 0
    counting = Lock()

    def __init__(self, indices: Sequence[int], make: Callable[[int], Views]) -> None:
        self.indices, self.make = indices, make
        self.cache: dict[int, Views] = {}

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, place: int) -> Views: ...

    @overload
    def __getitem__(self, place: slice) -> list[Views]: ...

    def __getitem__(self, place: int | slice) -> Views | list[Views]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        index = self.indices[place]
        views = self.cache.get(index)
        if views is None:
            views = self.make(index)
            size = sum(view.nbytes for view in views.values())
            with self.counting:  # several threads may ask
                if MadeViews.kept + size <= self.ROOM and index not in self.cache:
                    MadeViews.kept += size
                    self.cache[index] = views
        return views

    def __del__(self) -> None:
        MadeViews.kept -= sum(
            view.nbytes for views in self.cache.values() for view in views.values()
        )


@dataclass(frozen=True, slots=True)
class ScoringSet:
    """Pictures to be scored once, in a fixed order.

    Attributes:
        name: `real`, a family, or a control such as `real/blurred`.
        views: one per picture, made when they are asked for and kept while there is room.
        label: 0 or 1, the same for all.
        sources, identities: one per picture.
    """

    name: str
    views: Sequence[Views]
    label: int
    sources: list[str]
    identities: list[str]


def laundered(image: UInt8Image, rng: Generator) -> UInt8Image:
    """JPEG at quality 90 on a random grid: what every scored picture goes through."""
    return jpeg(image, 90, "4:2:0", (int(rng.integers(8)), int(rng.integers(8))))


Change = Callable[[UInt8Image, FloatArray, Generator], UInt8Image]
"""(crop, its five landmarks, rng) -> what is scored instead of it."""


def scored_picture(crops: Crops, index: int, change: Change, *, seed: int = 0) -> UInt8Image:
    """What is scored of a crop: reduced where it is large, changed, and laundered."""
    rng = np.random.default_rng([seed, 7, index])
    face, points = bounded(crops.image(index), crops.landmarks[index], rng)
    return laundered(change(face, points, rng), rng)


def unchanged(image: UInt8Image, points: FloatArray, rng: Generator) -> UInt8Image:
    """The picture as it is: a `Change` that does nothing."""
    return image


def perturbed(perturbation: str, level: int) -> Change:
    """One of `PERTURBATIONS`, at level 1 to 5; what it draws comes from the picture's own rng."""
    return lambda image, points, rng: PERTURBATIONS[perturbation](image, level, rng)


CONTROLS: dict[str, Change] = {
    "real/re-encoded": lambda image, points, rng: jpeg(image, 70),
    "real/blurred": lambda image, points, rng: gaussian_blur(image, image.shape[0] / 200),
    "real/grid-shifted": lambda image, points, rng: grid_shift(image, 3, 5),
}
"""Reals that a detector must not call fake. The blur grows with the crop: sigma 1.2 at 240 pixels;
with more a face is `blurry`, and then `too_blurry` for any verdict (see faces.quality)."""

DAILY: dict[str, Change] = {
    **CONTROLS,
    "real/quality-50": lambda image, points, rng: jpeg(image, 50),
    "real/quality-95": lambda image, points, rng: jpeg(image, 95, phase=(3, 5)),
    "real/reduced": lambda image, points, rng: rescale(image, 0.6, "area"),
    "real/enlarged": lambda image, points, rng: rescale(image, 1.5, "bicubic"),
    "real/video": lambda image, points, rng: video_still(image, "h264", 28),
    "real/webp": lambda image, points, rng: webp(image, 60),
    "real/motion-blurred": perturbed("motion_blur", 2),
    "real/noisy": perturbed("gaussian_noise", 3),
    "real/resampled": perturbed("resize_lanczos", 3),
}
"""`CONTROLS`, and more of what reals go through every day: what thresholds are fitted under."""

MOVES: dict[str, Change] = {
    **DAILY,
    "real/blurred-more": lambda image, points, rng: gaussian_blur(image, image.shape[0] / 120),
    "real/motion-blurred-more": perturbed("motion_blur", 3),
    "real/sensor-noise": perturbed("sensor_noise", 3),
    "real/coarse": perturbed("resize_nearest", 2),
    "real/pale": perturbed("contrast_low", 3),
    "real/video-more": perturbed("h265", 3),
}
"""`DAILY` and worse, of which findings hardly count: what is to move a head in closed form little.
Without the latter a family's score may look for softness, which the blurs of `DAILY` are too slight
to show."""


def scoring_sets(
    crops: Crops,
    spec: InputSpec,
    split: str,
    *,
    seed: int = 0,
    forged: bool = True,
    controls: Mapping[str, Change] = CONTROLS,
    families: Sequence[str] = (),
) -> list[ScoringSet]:
    """Reals, every family of fakes and the controls of one split, all laundered alike.

    Args:
        crops: of the whole index.
        spec: the network's input contract.
        split: `val` or `test`.
        seed: of the synthetic fakes; the same seed gives the same pictures.
        forged: also fakes of `TRAINING_FAMILIES`, forged from the reals here.
        controls: name -> what else is done to the reals, each a set of its own.
        families: names that kinds of the index's fakes are gathered under (see `is_of`); what is
            of none is a set of its own.
    """
    reals = crops.where(lambda item: item.split == split and item.label == 0)
    sets = [_scoring_set("real", crops, reals, 0, spec, seed, unchanged)]
    for name, family in TRAINING_FAMILIES.items() if forged else ():
        sets.append(_scoring_set(name, crops, reals, 1, spec, seed, _faking(family)))
    found: dict[str, list[int]] = {}
    for index in crops.where(lambda item: item.split == split and item.label == 1):
        kind = crops.items[index].generator
        found.setdefault(next((f for f in families if is_of(kind, f)), kind), []).append(index)
    for name in sorted(found):
        sets.append(_scoring_set(name, crops, found[name], 1, spec, seed, unchanged))
    for name, change in controls.items():
        sets.append(_scoring_set(name, crops, reals, 0, spec, seed, change))
    return sets


def reals_of(
    crops: Crops,
    spec: InputSpec,
    split: str,
    *,
    most: int,
    seed: int = 0,
    change: Change | None = None,
    sources: Collection[str] | None = None,
) -> ScoringSet:
    """Reals of one split, laundered; of each source no more than `most`, drawn.

    They are as they are, or after a change: the same ones, in the same order. Of all sources, or of
    those that are named.
    """
    reals = drawn_reals(crops, split, most=most, seed=seed, sources=sources)
    return _scoring_set("real", crops, reals, 0, spec, seed, change or unchanged)


def fakes_of(
    crops: Crops,
    spec: InputSpec,
    split: str,
    family: str,
    *,
    most: int,
    forged: bool = True,
    seed: int = 0,
    change: Change | None = None,
) -> ScoringSet:
    """Fakes of one family and split, laundered: those that were made from what `reals_of` draws.

    Of a family whose fakes were made from no real of the index, `most` are drawn.

    Args:
        family: of `TRAINING_FAMILIES` where they are forged here, or of fakes in the index.
        most: reals of each source. forged: from the reals, here.
        change: what is done to the fakes, as to the reals.
    """
    reals = drawn_reals(crops, split, most=most, seed=seed)
    after = change or unchanged
    if forged and family in TRAINING_FAMILIES:
        forge = _faking(TRAINING_FAMILIES[family])

        def both(image: UInt8Image, points: FloatArray, rng: Generator) -> UInt8Image:
            return after(forge(image, points, rng), points, rng)

        return _scoring_set(family, crops, reals, 1, spec, seed, both)
    fakes = crops.where(
        lambda item: item.split == split and item.label == 1 and is_of(item.generator, family)
    )
    own = own_fakes(crops.items, reals, fakes)
    chosen = [own[real][0] for real in reals if real in own]
    if not chosen:
        rng = np.random.default_rng([seed, 13])
        chosen = sorted(rng.choice(fakes, min(most, len(fakes)), replace=False).tolist())
    return _scoring_set(family, crops, chosen, 1, spec, seed, after)


def drawn_reals(
    crops: Crops,
    split: str,
    *,
    most: int,
    seed: int = 0,
    sources: Collection[str] | None = None,
) -> list[int]:
    """Places of reals of one split, in order; of each source no more than `most`, drawn."""
    by_source: dict[str, list[int]] = {}
    for index in crops.where(
        lambda item: (
            item.split == split and item.label == 0 and (sources is None or item.source in sources)
        )
    ):
        by_source.setdefault(crops.items[index].source, []).append(index)
    rng = np.random.default_rng([seed, 11])
    chosen = [
        rng.choice(found, min(most, len(found)), replace=False)
        for _, found in sorted(by_source.items())
    ]
    return sorted(int(i) for drawn in chosen for i in drawn)


def _faking(family: Family) -> Change:
    return lambda image, points, rng: family(image, dense_landmarks(points), rng)[0]


def _scoring_set(
    name: str,
    crops: Crops,
    indices: Sequence[int],
    label: int,
    spec: InputSpec,
    seed: int,
    change: Change,
) -> ScoringSet:
    def made(index: int) -> Views:
        return to_views(scored_picture(crops, index, change, seed=seed), spec)

    items = [crops.items[index] for index in indices]
    views = MadeViews(indices, made)
    return ScoringSet(name, views, label, [i.source for i in items], [i.identity for i in items])
