"""Where a face becomes forgeries: cut, forge, chain, encode, write. Needs no tables."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unmask.data.forging.faces import Decode
from unmask.data.forging.forgery import (
    Face,
    Forged,
    Loss,
    Made,
    Order,
    Settings,
    Task,
    draws,
    flat,
)
from unmask.errors import ShapeError
from unmask.faces import cut
from unmask.media import Failure
from unmask.synthesis.blend import Mask
from unmask.synthesis.families import Subject, forge
from unmask.transforms.laundering import LaunderingPolicy
from unmask.types import UInt8Image

Chain = Callable[[UInt8Image], UInt8Image]

REAL, MASKS = "real", "masks"
PNG_LEVEL = 3
KEPT = 32
"""Crops that are kept for the next forgery: donors come again."""


class ChangedError(Exception):
    """A picture is not the one whose face was found."""


@dataclass(frozen=True, slots=True, eq=False)
class Specimen:
    """A forgery and what it was made from, before any encoding."""

    target: Subject
    donor: Subject | None
    fake: UInt8Image
    mask: Mask


class Workshop:
    """Forges faces, one at a time.

    Args:
        settings: see there.
        decode: one path to what it holds.
        out: the folder to fill; pictures lie below it as `Made` says.
    """

    def __init__(self, settings: Settings, decode: Decode, out: Path) -> None:
        self.settings, self.decode, self.out = settings, decode, out
        self._crops: OrderedDict[str, UInt8Image] = OrderedDict()

    def subject(self, face: Face) -> Subject:
        """The crop of a face that was found.

        Raises:
            ChangedError: the picture has changed since, or can no longer be read.
        """
        found, source = face.found, face.source
        image = self._crops.pop(source.name, None)
        if image is None:
            media = self.decode(source.path)
            if isinstance(media, Failure):
                raise ChangedError(media.error.message)
            if media.info.sha256 != found.sha256:
                raise ChangedError(f"{source.path} has changed since its face was looked for.")
            image = media.frames[0].image
            if found.box is not None:
                image = np.ascontiguousarray(np.rot90(cut(image, found.box), found.turns))
        self._crops[source.name] = image
        if len(self._crops) > KEPT:
            self._crops.popitem(last=False)
        points = np.array(found.landmarks).reshape(-1, 2)
        return Subject(image, points, "+".join(source.people))

    def specimen(self, face: Face, order: Order) -> Specimen:
        """Make one forgery.

        Raises:
            ChangedError: a picture has changed since its face was found.
            ShapeError: the face does not lend itself to the family.
        """
        target = self.subject(face)
        donor = None if order.donor is None else self.subject(order.donor)
        rng = draws(self.settings.seed, order.family, face.found.sha256, order.number)
        name = order.family
        if order.painted:
            name = f"{name.partition('-')[0]}-{order.painted}"
        fake, mask = forge(name, target, rng, [] if donor is None else [donor])
        return Specimen(target, donor, fake, mask)

    def make(self, task: Task) -> Forged:
        """Make and write all forgeries of one face, and the face itself beside them."""
        made: list[Made] = []
        lost: list[Loss] = []
        chain = self._chain(task.face)
        for order in task.orders:
            outcome = self._one(task.face, order, chain)
            if isinstance(outcome, Made):
                made.append(outcome)
            else:
                lost.append(outcome)
        common: dict[str, Any] = {"name": task.face.source.name, "key": task.key}
        if not made:
            return Forged(**common, lost=tuple(lost))
        before = self.subject(task.face).image
        after = chain(before)
        height, width = after.shape[:2]
        ratio = np.array([width / before.shape[1], height / before.shape[0]])
        five = (np.array(task.face.found.five).reshape(-1, 2) + 0.5) * ratio - 0.5
        real = self._name(REAL, task.face.source.name)
        self._write(real, after)
        return Forged(
            **common,
            real=real,
            side=(width, height),
            five=flat(five),
            box=task.face.found.box,
            made=tuple(made),
            lost=tuple(lost),
        )

    def _one(self, face: Face, order: Order, chain: Chain) -> Made | Loss:
        what: dict[str, Any] = {"family": order.family, "number": order.number}
        try:
            done = self.specimen(face, order)
        except ChangedError as error:
            return Loss(**what, reason="changed_meanwhile", message=str(error))
        except ShapeError as error:
            return Loss(**what, reason="not_forgeable", message=error.message)
        except Exception as error:  # one face must never take the others with it
            told = f"{type(error).__name__}: {error}"
            return Loss(**what, reason="internal_error", message=told)
        if not done.mask.any() or np.array_equal(done.fake, done.target.image):
            return Loss(**what, reason="unchanged")
        name = face.source.name + (f"-{order.number + 1}" if order.number else "")
        fake = chain(done.fake)
        path = self._name(order.family, name)
        self._write(path, fake)
        mask_path = f"{MASKS}/{order.family}/{name}.png"
        self._write_png(mask_path, _fitting(done.mask, fake).astype(np.uint8) * np.uint8(255))
        donor = order.donor.source.name if order.donor else ""
        return Made(**what, path=path, mask_path=mask_path, donor=donor, painted=order.painted)

    def _chain(self, face: Face) -> Chain:
        """What a face and all its forgeries go through before they are written."""
        if not self.settings.launder:
            return lambda image: image
        return LaunderingPolicy().draw(draws(self.settings.seed, "launder", face.found.sha256))

    def _name(self, folder: str, name: str) -> str:
        return f"{folder}/{name}.{'png' if self.settings.encode == 'png' else 'jpg'}"

    def _write(self, path: str, image: UInt8Image) -> None:
        if self.settings.encode == "png":
            self._write_png(path, image[..., ::-1])
            return
        options = [cv2.IMWRITE_JPEG_QUALITY, self.settings.quality]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
        self._store(path, ".jpg", image[..., ::-1], options)

    def _write_png(self, path: str, image: UInt8Image) -> None:
        self._store(path, ".png", image, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])

    def _store(self, path: str, suffix: str, image: UInt8Image, options: list[int]) -> None:
        done, data = cv2.imencode(suffix, image, options)
        if not done:
            raise OSError(f"OpenCV cannot encode a picture of {image.shape} as {suffix}.")
        place = self.out / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.tobytes())


def _fitting(mask: Mask, image: UInt8Image) -> Mask:
    """The mask at the size of a picture that was resized: True where any of it falls."""
    height, width = image.shape[:2]
    if mask.shape == (height, width):
        return mask
    smaller = width < mask.shape[1]
    kernel = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(
        cv2.resize(mask.astype(np.float32), (width, height), interpolation=kernel) > 0
    )
