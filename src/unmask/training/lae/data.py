"""Pictures and masks of a protocol as the LAE is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from unmask.data.annotation.masks import Mask, mask_from_png
from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.store import Annotations
from unmask.data.crops import Crops, prepare_crops
from unmask.data.index import Index
from unmask.data.items import items_of
from unmask.data.pairing import own_fakes
from unmask.data.protocols.normalise import Normalise
from unmask.data.protocols.resolve import Resolved, combined
from unmask.errors import ConfigError, DatasetError
from unmask.transforms.perturb import jpeg
from unmask.transforms.preprocess import InputSpec, Views, mask_view, to_views
from unmask.types import UInt8Image

TRAIN, VAL = "train", "val"


def mask_seen(mask: Mask, spec: InputSpec, offset: tuple[float, float] = (0.5, 0.5)) -> Mask:
    """A crop's mask as the network sees the crop: True where at least half of a pixel's area was.

    Args:
        mask: (S, S) bool, in the crop's pixels.
        spec: the network's input; s is its `rgb_size` or, without one, its window's side.
        offset: of the window, as given to `to_views`.

    Returns:
        (s, s) bool; a mask of a few pixels may vanish when it is made smaller, and one that lies
        beside the window does.
    """
    return mask_view(mask.astype(np.uint8) * 255, spec, offset=offset) >= 128


def picture_seen(views: Views) -> UInt8Image:
    """(s, s, 3) uint8 RGB that the network sees: the whole crop resized, or the native window."""
    return views.get("rgb", views["native"])


@dataclass(frozen=True)
class Corpus:
    """Face crops of a protocol's training and validation rows, and the pictures they are of.

    Nothing of a test is in it, so that no selection and no stage can see any.

    Attributes:
        crops: their items are of the splits train and val.
        pictures: file -> picture, with the data set's own mask where it has one.
        normalise: the protocol's step, that crops and masks go through.
    """

    crops: Crops
    pictures: Mapping[Path, Picture]
    normalise: Normalise | None

    @classmethod
    def of(
        cls, resolved: Resolved, cache: Path, progress: Callable[[int], None] | None = None
    ) -> Corpus:
        """Cut out all faces, or read what an earlier run kept.

        Raises:
            DatasetError: the rows cannot be used, or a class has no face in a split.
        """
        normalise = resolved.protocol.normalise
        items = items_of(combined([resolved.train, resolved.val]), "training")
        crops = prepare_crops(items, cache, normalise=normalise, progress=progress)
        pictures = {**pictures_of(resolved.train), **pictures_of(resolved.val)}
        # a combined table may write a path in another way than the index it is of
        by_place = {path.resolve(): picture for path, picture in pictures.items()}
        known = {item.path: by_place[item.path.resolve()] for item in crops.items}
        corpus = cls(crops, known, normalise)
        for split in (TRAIN, VAL):
            for label, name in ((0, "reals"), (1, "fakes")):
                if not corpus.places(split, label):
                    raise DatasetError(
                        f"No {name} with a face in the split {split}.",
                        "The LAE needs both classes in training and in validation.",
                    )
        return corpus

    def places(self, split: str, label: int) -> list[int]:
        """Places in the crops of one class of a split."""
        return self.crops.where(lambda item: item.split == split and item.label == label)

    def picture(self, place: int) -> Picture:
        """What is known of the picture of a crop."""
        return self.pictures[self.crops.items[place].path]

    def mask(self, place: int, mask: Mask) -> Mask:
        """A picture's mask, cut like its crop.

        Args:
            place: of the crop.
            mask: (H, W) bool, in the picture's pixels.

        Returns:
            (S, S) bool, in the crop's pixels.

        Raises:
            DatasetError: the crop was cut out of a larger picture, so the mask would not fit.
        """
        return fitted(self.crops, place, mask, self.normalise)

    def own_mask(self, place: int) -> Mask | None:
        """The data set's own mask in the crop's pixels; None where it has none."""
        return own_mask(self.crops, place, self.picture(place), self.normalise)

    def own_mask_seen(self, place: int, spec: InputSpec) -> Mask | None:
        """The same as the network sees it; None also where it sees nothing of it."""
        return own_mask_seen(self.crops, place, self.picture(place), self.normalise, spec)


def pictures_of(index: Index) -> dict[Path, Picture]:
    """File -> picture of an index's rows."""
    columns = ("path", "label", "split", "mask_path")
    return {
        index.file(path): Picture(
            path, index.file(path), label, split, index.file(mask) if mask else None
        )
        for path, label, split, mask in index.table.select(columns).iter_rows()
    }


def fitted(crops: Crops, place: int, mask: Mask, normalise: Normalise | None) -> Mask:
    """See `Corpus.mask`."""
    item = crops.items[place]
    if item.box is None:
        raise DatasetError(
            f"{item.path} is not a face crop, so its mask cannot be cut like its face.",
            "Make crops with `unmask prepare`, which cuts the masks along, and train on its index.",
        )
    if normalise is not None:
        mask = normalise.apply_mask(mask)
    expected = crops.image(place).shape[:2]
    if mask.shape != expected:
        raise DatasetError(
            f"{item.path}: the mask has {mask.shape[1]}x{mask.shape[0]} pixels, its crop "
            f"{expected[1]}x{expected[0]}.",
            "Paint on the picture at its own size.",
        )
    return mask


def own_mask(
    crops: Crops, place: int, picture: Picture, normalise: Normalise | None
) -> Mask | None:
    """See `Corpus.own_mask`."""
    if picture.mask is None:
        return None
    try:
        data = picture.mask.read_bytes()
    except OSError as error:
        raise DatasetError(f"The mask {picture.mask} cannot be read: {error.strerror}.") from error
    mask = mask_from_png(data, size=picture.size, what=f"The mask {picture.mask}")
    return fitted(crops, place, mask, normalise)


def own_mask_seen(
    crops: Crops, place: int, picture: Picture, normalise: Normalise | None, spec: InputSpec
) -> Mask | None:
    """See `Corpus.own_mask_seen`."""
    mask = own_mask(crops, place, picture, normalise)
    seen = None if mask is None else mask_seen(mask, spec)
    return None if seen is None or not seen.any() else seen


@dataclass(frozen=True)
class StoredMasks:
    """Masks of a store that stage 2 can use.

    Attributes:
        masks: place in the crops -> (S, S) bool in the crop's pixels; all False of a real that was
            answered with `no_forgery`.
        left_out: why other answers are not used: reason -> how many.
    """

    masks: dict[int, Mask] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Of masks that mark something."""
        return sum(bool(mask.any()) for mask in self.masks.values())


def stored_masks(folder: Path, corpus: Corpus, spec: InputSpec) -> StoredMasks:
    """The latest answers of a mask store to training pictures.

    Answers to any other picture, of validation or a test too, are left out and counted; so are
    masks of which the network, whose input `spec` is, would see nothing.

    Raises:
        DatasetError: the store or one of its masks is damaged, or a mask does not fit its crop.
    """
    answers = Annotations(folder)
    if not len(answers):
        raise DatasetError(
            f"{folder} holds no answers.", "Make masks with `unmask annotate`, or use the oracle."
        )
    places = {
        corpus.picture(place).sha256: place
        for place in [p for label in (1, 0) for p in corpus.places(TRAIN, label)]
    }
    found = StoredMasks()

    def leave_out(why: str) -> None:
        found.left_out[why] = found.left_out.get(why, 0) + 1

    for record in answers.all():
        place = places.get(record.sha256)
        if place is None:
            leave_out("not a training picture")
        elif record.kind == "skipped":
            leave_out("skipped")
        elif record.kind == "no_forgery" and corpus.crops.items[place].label:
            leave_out("fake in which no forgery was seen")
        else:
            mask = corpus.mask(place, answers.mask(record))
            if record.kind == "mask" and not (seen := mask_seen(mask, spec)).any():
                leave_out(f"nothing left at {len(seen)} pixels")
            else:
                found.masks[place] = mask
    return found


class MaskedBatches(Dataset[dict[str, Tensor]]):
    """Whole batches: as many reals as fakes, and behind them pictures that have a mask.

    Every draw is a function of (seed, epoch, step, position) alone, so a resumed run sees what an
    uninterrupted one would have seen. Real and fake of a pair go through one JPEG quality and grid,
    are cut at one place and are flipped alike, a mask with its picture. In an epoch every real
    occurs once, but for what does not fill a batch; fakes take turns, or stand beside the reals
    that they were made from.

    Args:
        corpus: pictures; only its training split is used.
        spec: the network's input.
        masks: place -> (S, S) bool, in the crop's pixels.
        batch: reals and fakes per batch, even.
        extra: pictures with a mask that are added to a batch; none where there are no masks.
        seed: see above.
        quality: range of the JPEG qualities; None for no JPEG.
        own: beside each real stands a fake that was made from it, where there is one.

    Each batch: `rgb` (N, s, s, 3) uint8, `label` (N,), `mask` (N, s, s) bool, `has_mask` (N,) bool;
    the first `batch` of N are the pairs.

    Raises:
        ConfigError: fewer training reals than half a batch.
    """

    def __init__(
        self,
        corpus: Corpus,
        spec: InputSpec,
        masks: Mapping[int, Mask],
        *,
        batch: int,
        extra: int,
        seed: int,
        quality: tuple[int, int] | None,
        own: bool = False,
    ) -> None:
        self.corpus, self.spec, self.masks = corpus, spec, masks
        self.batch, self.seed, self.quality = batch, seed, quality
        self.reals, self.fakes = corpus.places(TRAIN, 0), corpus.places(TRAIN, 1)
        items = corpus.crops.items
        self.own = own_fakes(items, self.reals, self.fakes) if own else {}
        foreign = set(masks) - {*self.reals, *self.fakes}
        if foreign:
            raise ConfigError(f"{len(foreign)} masks are not of training pictures.")
        if len(self.reals) < batch // 2:
            raise ConfigError(
                f"stage_one.batch_size: half of {batch} are {batch // 2} reals, but there are "
                f"{len(self.reals)}.",
                "Use a smaller batch, or more training reals.",
            )
        self.drawn = sorted(place for place, mask in masks.items() if mask.any())
        self.extra = extra if self.drawn else 0
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Move on to the draws of another epoch."""
        self.epoch = epoch
        rng = np.random.default_rng([self.seed, epoch, 0, 0, 1])  # of none of the slots
        self.order = rng.permutation(self.reals)
        rounds = -(-len(self.reals) // len(self.fakes))
        turns = np.concatenate([rng.permutation(self.fakes) for _ in range(rounds)])
        self.turns = [
            int(rng.choice(self.own[real])) if real in self.own else int(turn)
            for real, turn in zip(self.order.tolist(), turns, strict=False)
        ]

    def __len__(self) -> int:
        return len(self.reals) // (self.batch // 2)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        if not 0 <= step < len(self):
            raise IndexError(step)
        half = self.batch // 2
        taken: list[tuple[UInt8Image, Mask | None]] = []
        places: list[int] = []
        for slot in range(half):
            pair = [int(chosen[step * half + slot]) for chosen in (self.order, self.turns)]
            taken += self._through(pair, self._rng(step, slot))
            places += pair
        for slot in range(half, half + self.extra):
            rng = self._rng(step, slot)
            place = self.drawn[int(rng.integers(len(self.drawn)))]
            taken += self._through([place], rng)
            places.append(place)
        side = taken[0][0].shape[0]
        empty = np.zeros((side, side), bool)
        masks = [empty if mask is None else mask for _, mask in taken]
        labels = [self.corpus.crops.items[place].label for place in places]
        return {
            "rgb": torch.from_numpy(np.stack([image for image, _ in taken])),
            "label": torch.tensor(labels),
            "mask": torch.from_numpy(np.stack(masks)),
            "has_mask": torch.tensor([mask is not None for _, mask in taken]),
        }

    def _rng(self, step: int, slot: int) -> Generator:
        return np.random.default_rng([self.seed, self.epoch, step, slot])

    def _through(
        self, places: Sequence[int], rng: Generator
    ) -> list[tuple[UInt8Image, Mask | None]]:
        """Pictures and masks through one draw of the chain."""
        flip = rng.random() < 0.5
        phase = (int(rng.integers(8)), int(rng.integers(8)))
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1)) if self.quality else None
        offset = (float(rng.random()), float(rng.random()))
        done = []
        for place in places:
            image = self.corpus.crops.image(place)
            if quality is not None:
                image = jpeg(image, quality, "4:2:0", phase)
            view = picture_seen(to_views(image, self.spec, offset=offset))
            whole = self.masks.get(place)
            mask = None if whole is None else mask_seen(whole, self.spec, offset)
            if flip:
                view = np.ascontiguousarray(view[:, ::-1])
                mask = None if mask is None else mask[:, ::-1]
            done.append((view, mask))
        return done
