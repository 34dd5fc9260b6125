"""Training pairs, made from face crops through the one preprocessing path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import Dataset

from unmask.data.annotation.masks import Mask
from unmask.data.crops import Crops
from unmask.data.pairing import is_of, own_fakes
from unmask.data.softness import equalise, soften
from unmask.errors import ConfigError, DatasetError
from unmask.synthesis.families import TRAINING_FAMILIES
from unmask.synthesis.shape import dense_landmarks
from unmask.transforms.laundering import LaunderingPolicy
from unmask.transforms.preprocess import InputSpec, Views, mask_view, to_views
from unmask.types import FloatArray, UInt8Image

LARGE = 320
"""Crops with a longer side are mostly reduced before anything else, in both classes."""


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How training pairs are made.

    Attributes:
        families: name -> weight; of `TRAINING_FAMILIES`, or a generator of the index.
        beside: generator -> sources of the reals it is paired with, so that the pair differs in
            what made it and not in where it comes from; all reals when not named.
        laundering: what both halves of a pair go through.
        soften_real_p: chance that the real half alone is softened, so that softness is no cue.
        equalise_p: chance that one half, either, gets the radial spectrum of the other, so that
            how sharp a picture is says nothing (see `softness.equalise`).
        ramp_epochs: epochs over which laundering comes in, from clean traces to full strength.
        forged: the families of `TRAINING_FAMILIES` are forged from the reals, anew every time;
            otherwise they too are fakes of the index, like any other name.
        random_grid: JPEG's grid and the window lie anywhere; otherwise blocks of both begin where
            the window's do, as where nobody cares.
        own: a fake of the index is paired with the real that it was made from, where the index has
            that (see `own_fakes`), so that the pair differs in nothing else.
    """

    families: Mapping[str, float]
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    laundering: LaunderingPolicy = field(default_factory=LaunderingPolicy)
    soften_real_p: float = 0.2
    equalise_p: float = 0.0
    ramp_epochs: int = 4
    forged: bool = True
    random_grid: bool = True
    own: bool = False


class TrainingPairs(Dataset[dict[str, torch.Tensor]]):
    """One real and one fake per item, through the same random chain and the same window.

    Every draw is a function of (seed, epoch, index) alone, so a resumed run sees what an
    uninterrupted one would have seen. Call `set_epoch` before each epoch.

    Args:
        crops: of the whole index; only items of split `train` are used.
        spec: the network's input contract.
        settings: see `PairSettings`.
        repeats: how often each real occurs in one epoch.
        masks: also give `mask`, (2, s, s) uint8 over what the RGB stream sees (see `mask_view`),
            and `has_mask`, (2,) bool. A real's mask is zero everywhere. A fake that was forged here
            has its forgery's, one of the index its own; without one, or with one that marks
            nothing, `has_mask` is False. Nothing else changes, and no draw.

    Raises:
        ConfigError: a family is unknown, the index has no training reals, or there would be no
            mask of any fake.
        DatasetError: a mask of the index is absent, or does not belong to a face crop.
    """

    def __init__(
        self,
        crops: Crops,
        spec: InputSpec,
        settings: PairSettings,
        *,
        seed: int,
        repeats: int = 1,
        masks: bool = False,
    ) -> None:
        self.crops, self.spec, self.settings, self.seed = crops, spec, settings, seed
        self.laundering = settings.laundering
        if not settings.random_grid:
            self.laundering = replace(self.laundering, aligned_p=1.0)
        self.epoch = 0
        train = crops.where(lambda item: item.split == "train")
        self.reals = [i for i in train if crops.items[i].label == 0] * repeats
        made = TRAINING_FAMILIES if settings.forged else {}
        self.pools = {
            name: [i for i in train if is_of(crops.items[i].generator, name)]
            for name in settings.families
            if name not in made
        }
        empty = [name for name, pool in self.pools.items() if not pool]
        if empty or not self.reals:
            known = sorted({*made, *(i.generator for i in crops.items if i.generator)})
            raise ConfigError(
                f"No training items for {', '.join(empty) or 'the real class'}.",
                f"Families that can be trained on with this index: {', '.join(known)}.",
            )
        self.partners = {name: self._partners(name) for name in self.pools}
        asked = self.pools if settings.own else {}
        self.own = {n: own_fakes(crops.items, self.reals, pool) for n, pool in asked.items()}
        self.names = list(settings.families)
        weights = np.array([settings.families[name] for name in self.names], float)
        self.weights = weights / weights.sum()
        self.masks = masks
        if masks:
            self._check_masks()

    def _check_masks(self) -> None:
        """Refuse now what would end a run in the middle, or let it learn from reals alone."""
        items = self.crops.items
        pooled = sorted({i for pool in self.pools.values() for i in pool})
        masked = [items[i] for i in pooled if items[i].mask is not None]
        if not masked and len(self.pools) == len(self.names):
            raise ConfigError(
                f"No training fake of {', '.join(self.names)} has a mask.",
                "Use an index with masks, as `unmask prepare` and `unmask synthesize` make them.",
            )
        for item in masked:
            assert item.mask is not None
            if item.box is None:
                raise DatasetError(
                    f"{item.path} is not a face crop, so its mask cannot be cut like its face.",
                    "Make crops with `unmask prepare`, which cuts the masks along.",
                )
            if not item.mask.is_file():
                raise DatasetError(
                    f"There is no mask {item.mask} of {item.path}.",
                    "Put it back, or leave it out of the index.",
                )

    def _partners(self, generator: str) -> list[int]:
        """The training reals that a generator's fakes are paired with."""
        sources = self.settings.beside.get(generator)
        items = self.crops.items
        chosen = [i for i in self.reals if sources is None or items[i].source in sources]
        if not chosen:
            raise ConfigError(f"No training reals of the sources {sources} beside {generator}.")
        return chosen

    def __len__(self) -> int:
        return len(self.reals)

    def set_epoch(self, epoch: int) -> None:
        """Move on to the draws of another epoch."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        family = int(rng.choice(len(self.names), p=self.weights))
        real, fake, mask = self._pair(self.reals[index], self.names[family], rng)
        ramp = self.settings.ramp_epochs
        strength = min(1.0, self.epoch / ramp) if ramp else 1.0
        if rng.random() < self.settings.soften_real_p:
            real = soften(real, rng)
        if (p := self.settings.equalise_p) and rng.random() < p:
            real, fake = equalise(real, fake, rng)
        chain = self.laundering.draw(rng, strength)
        offset = (float(rng.random()), float(rng.random()))
        flip = rng.random() < 0.5
        align = not self.settings.random_grid
        images = [chain(image) for image in (real, fake)]
        views = [to_views(image, self.spec, offset=offset, aligned=align) for image in images]
        if self.masks:
            for view, image, marked in zip(views, images, (None, mask), strict=True):
                laid = laid_over(marked, image)
                view["mask"] = mask_view(laid, self.spec, offset=offset, aligned=align)
        item = {
            **_as_tensors(views, flip),
            "label": torch.tensor([0, 1]),
            "family": torch.tensor([-1, family]),
        }
        if self.masks:
            item["has_mask"] = torch.tensor([True, mask is not None and bool(mask.any())])
        return item

    def _pair(
        self, real: int, family: str, rng: Generator
    ) -> tuple[UInt8Image, UInt8Image, Mask | None]:
        """Real, fake, and the fake's mask, perhaps larger than the fake; None where not known."""
        if family in self.pools:
            pool, partners = self.pools[family], self.partners[family]
            if own := self.own.get(family, {}).get(real):
                pool, partners = own, [real]
            real = partners[int(rng.integers(len(partners)))]
            chosen = pool[int(rng.integers(len(pool)))]
            other = self.crops.image(chosen)
        face, points = self.crops.image(real), self.crops.landmarks[real]
        if family in self.pools:
            mask = self.crops.mask(chosen) if self.masks else None
            return bounded(face, points, rng)[0], bounded(other, points, rng)[0], mask
        face, points = bounded(face, points, rng)
        return face, *TRAINING_FAMILIES[family](face, dense_landmarks(points), rng)


def bounded(face: UInt8Image, points: FloatArray, rng: Generator) -> tuple[UInt8Image, FloatArray]:
    """Reduce a large crop, usually, to a random size at which the window holds the face."""
    side = face.shape[0]
    if side <= LARGE or rng.random() < 0.2:
        return face, points
    target = int(rng.integers(180, 300))
    kernel = (cv2.INTER_AREA, cv2.INTER_LANCZOS4)[int(rng.integers(2))]
    reduced = np.asarray(cv2.resize(face, (target, target), interpolation=kernel), np.uint8)
    return reduced, points * np.float32(target / side)


def laid_over(mask: Mask | None, image: UInt8Image) -> NDArray[np.uint8]:
    """A mask at the size of the picture that its own has become.

    `bounded` and laundering move nothing but by scaling the whole picture, so its size says all.

    Args:
        mask: (S, S) bool, True where manipulated, over the picture as it was; None is all False.
        image: (T, T, 3), what that picture has become.

    Returns:
        (T, T) uint8, how much of each pixel is manipulated: 0 nothing, 255 all of it.
    """
    height, width = image.shape[:2]
    if mask is None:
        return np.zeros((height, width), np.uint8)
    whole = mask.astype(np.uint8) * np.uint8(255)
    kernel = cv2.INTER_AREA if width < mask.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(whole, (width, height), interpolation=kernel), np.uint8)


def _as_tensors(views: Sequence[Views], flip: bool) -> dict[str, torch.Tensor]:
    """(2, n, n, 3) uint8 per view, (2, s, s) of a mask; mirrored or not."""
    stacked = {name: np.stack([v[name] for v in views]) for name in views[0]}
    return {
        name: torch.from_numpy(np.ascontiguousarray(a[:, :, ::-1] if flip else a))
        for name, a in stacked.items()
    }
