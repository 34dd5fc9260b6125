"""Face crops of an index, detected once and kept on disk: native resolution, nothing re-encoded."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from unmask.data.annotation.masks import Mask, mask_from_png
from unmask.data.annotation.pictures import Picture
from unmask.data.atomic import replace_text, replacing
from unmask.data.items import Item
from unmask.data.protocols.normalise import Normalise
from unmask.errors import DatasetError
from unmask.faces import FaceDetector, MTCNNDetector, crop_face, find_faces
from unmask.media import Failure, try_decode
from unmask.types import FloatArray, Frame, UInt8Image

MARGIN = 1.3
_VERSION = 1

Cropped = tuple[UInt8Image, FloatArray]
"""A square crop and its five landmarks, (5, 2) x, y in its own pixels."""


@dataclass(frozen=True)
class Crops:
    """The face crops of an index.

    Attributes:
        items: those with a face, in the index's order.
        landmarks: (N, 5, 2) float32, in each crop's pixels.
        dropped: why each of the others gave no face: reason -> how many.
        key: hash of the items and settings they were made from.
        normalise: the protocol's step that they went through, None without one.
        origin: `key` of the crops that these are a part of; None where they are the whole.
        rows: (N,) where each was in those; None where they are the whole.
    """

    items: list[Item]
    landmarks: NDArray[np.float32]
    dropped: dict[str, int]
    key: str
    _pixels: NDArray[np.uint8]
    _starts: NDArray[np.int64]
    _sides: NDArray[np.int64]
    normalise: Normalise | None = None
    origin: str | None = None
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def only(self, keep: Callable[[Item], bool]) -> Crops:
        """The part for which `keep` is true; pixels stay where they are.

        Raises:
            DatasetError: there is none.
        """
        chosen = self.where(keep)
        if not chosen:
            raise DatasetError("Nothing is left of the pictures.")
        rows = np.arange(len(self)) if self.rows is None else self.rows
        return replace(
            self,
            items=[self.items[index] for index in chosen],
            landmarks=self.landmarks[chosen],
            key=self.digest(chosen),
            origin=self.origin or self.key,
            rows=rows[chosen],
            _starts=self._starts[chosen],
            _sides=self._sides[chosen],
        )

    def digest(self, indices: Sequence[int]) -> str:
        """Hash of some of the crops: the same in the whole and in any part that has them."""
        rows = indices if self.rows is None else self.rows[list(indices)].tolist()
        text = f"{self.origin or self.key} {list(rows)}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def image(self, index: int) -> UInt8Image:
        """(S, S, 3) uint8 RGB crop of `items[index]`; a view of the file, do not write to it."""
        start, side = int(self._starts[index]), int(self._sides[index])
        return self._pixels[start : start + 3 * side * side].reshape(side, side, 3)

    def mask(self, index: int) -> Mask | None:
        """The data set's own mask of `items[index]`, cut like its crop.

        Returns:
            (S, S) bool, True where manipulated; None where the item has no mask.

        Raises:
            DatasetError: the mask cannot be read or is no mask of this picture, or the crop was
                cut out of a larger picture, so that nobody knows where the mask belongs.
        """
        item, side = self.items[index], int(self._sides[index])
        if item.mask is None:
            return None
        if item.box is None:
            raise DatasetError(
                f"{item.path} is not a face crop, so its mask cannot be cut like its face.",
                "Make crops with `unmask prepare`, which cuts the masks along, and use its index.",
            )
        try:
            data = item.mask.read_bytes()
        except OSError as error:
            raise DatasetError(
                f"The mask {item.mask} cannot be read: {error.strerror or error}.",
                "Put it back, or leave it out of the index.",
            ) from error
        if self.normalise is None:
            return mask_from_png(data, size=(side, side), what=f"The mask {item.mask}")
        size = Picture(item.path.name, item.path).size
        return self.normalise.apply_mask(
            mask_from_png(data, size=size, what=f"The mask {item.mask}")
        )

    def where(self, keep: Callable[[Item], bool]) -> list[int]:
        """Indices of the items for which `keep` is true."""
        return [index for index, item in enumerate(self.items) if keep(item)]


def prepare_crops(
    items: Sequence[Item],
    cache: Path,
    *,
    normalise: Normalise | None = None,
    progress: Callable[[int], None] | None = None,
) -> Crops:
    """Detect and crop the largest face of every picture, or read what an earlier run kept.

    A picture that is a crop already (an item with a box and landmarks, as `unmask prepare` makes
    them) is taken as it is: nothing is detected in it.

    Args:
        items: of `read_items`.
        cache: folder for the crops; the file names hold a hash of paths, sizes and settings.
        normalise: a protocol's step that every crop goes through.
        progress: called with the number of pictures done.

    Raises:
        DatasetError: no picture has a face, or a crop is not square.
    """
    key = _key(items, normalise)
    base = cache / f"crops-{key}"
    if not base.with_suffix(".json").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _write(items, base, normalise, progress)
    meta = json.loads(base.with_suffix(".json").read_text("utf-8"))
    kept = [items[i] for i in meta["kept"]]
    if not kept:
        raise DatasetError(f"No face in any of {len(items)} pictures: {meta['dropped']}.")
    sides = np.array(meta["sides"], np.int64)
    return Crops(
        items=kept,
        landmarks=np.array(meta["landmarks"], np.float32).reshape(-1, 5, 2),
        dropped=meta["dropped"],
        key=key,
        _pixels=np.load(base.with_suffix(".npy"), mmap_mode="r"),
        _starts=np.concatenate([[0], np.cumsum(3 * sides**2)[:-1]]),
        _sides=sides,
        normalise=normalise,
    )


def _write(
    items: Sequence[Item],
    base: Path,
    normalise: Normalise | None,
    progress: Callable[[int], None] | None,
) -> None:
    """Crop every picture; pixels go to the disk as they come, for a data set's fit no memory."""
    detector = cache(MTCNNDetector)  # loaded when a picture first needs it
    kept: list[int] = []
    sides: list[int] = []
    landmarks: list[list[list[float]]] = []
    dropped: Counter[str] = Counter()
    with _growing_npy(base.with_suffix(".npy")) as pixels:
        for index, item in enumerate(items):
            cropped = _cropped(item, detector)
            if normalise is not None and not isinstance(cropped, str):
                cropped = _normalised(item, cropped, normalise)
            if isinstance(cropped, str):
                dropped[cropped] += 1
            else:
                kept.append(index)
                sides.append(cropped[0].shape[0])
                landmarks.append(cropped[1].tolist())
                pixels.write(cropped[0].tobytes())
            if progress:
                progress(index + 1)
    meta = {"kept": kept, "sides": sides, "landmarks": landmarks, "dropped": dict(dropped)}
    replace_text(base.with_suffix(".json"), json.dumps(meta))


def _cropped(item: Item, detector: Callable[[], FaceDetector]) -> Cropped | str:
    media = try_decode(item.path, max_frames=1)
    if isinstance(media, Failure):
        return media.error.reason
    if item.box is not None:
        return _as_given(item, media.frames[0])
    return _detected(media.frames[0], detector())


def _normalised(item: Item, cropped: Cropped, normalise: Normalise) -> Cropped | str:
    """The crop after a protocol's step, its landmarks moved along."""
    image, points = cropped
    side = image.shape[0]
    if not normalise.takes(side, side):
        return "smaller_than_window"
    changed = normalise.apply(image, item.video_id or item.path.as_posix())
    if normalise.size == "scale":
        return changed, points * np.float32(normalise.side / side)
    return changed, points - np.float32((side - normalise.side) // 2)


@contextmanager
def _growing_npy(path: Path) -> Iterator[BinaryIO]:
    """An array file, (N,) uint8, to write bytes to; N is filled in at the end, and it is renamed.

    The header has the same length for every N, so nothing is copied.
    """
    with replacing(path) as part, part.open("wb") as file:
        _write_header(file, 0)
        start = file.tell()
        yield file
        size = file.tell() - start
        file.seek(0)
        _write_header(file, size)
        assert file.tell() == start


def _write_header(file: BinaryIO, size: int) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(file, header)


def _detected(frame: Frame, detector: FaceDetector) -> Cropped | str:
    """The largest face's crop, or why there is none."""
    faces = find_faces(frame, detector)
    if not faces:
        return "no_face"
    if faces[0].quarter_turns:
        return "rotated"  # turned upright, its landmarks would not fit the crop
    crop = crop_face(frame, faces[0], margin=MARGIN)
    return crop.image, crop.face.landmarks - np.array(crop.box[:2], np.float32)


def _as_given(item: Item, frame: Frame) -> Cropped:
    """The whole picture and the index's own landmarks."""
    height, width = frame.image.shape[:2]
    if height != width:
        raise DatasetError(
            f"The crop {item.path} is {width}x{height} pixels; a face crop is square.",
            "Run `unmask prepare` again: it makes square ones.",
        )
    return frame.image, np.array(item.landmarks, np.float32).reshape(5, 2)


def _key(items: Sequence[Item], normalise: Normalise | None = None) -> str:
    digest = hashlib.sha256(f"{_VERSION} {MARGIN}".encode())
    if normalise is not None:
        digest.update(normalise.model_dump_json().encode())
    for item in items:
        # names, not whole paths: a data set that moved is the same data set
        row = {**asdict(item), "path": "/".join(item.path.parts[-2:])}
        del row["mask"]  # it shapes no crop
        if normalise is None:  # what decides nothing keeps the keys there were before it
            del row["video_id"]
        if item.box is None:  # what is not a crop keeps the key it had before there were any
            del row["box"], row["landmarks"]
        size = item.path.stat().st_size if item.path.is_file() else -1
        digest.update(json.dumps([row, size], sort_keys=True).encode())
    return digest.hexdigest()[:16]
