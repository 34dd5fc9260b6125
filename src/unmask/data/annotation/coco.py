"""Masks as one COCO JSON file: images, annotations and the category `manipulated`.

An image may have an extra member `unmask`: {"sha256", "revision", "kind"}. With it an import sees
whether it is the same picture, and tells "no forgery" from "not answered yet"; COCO itself cannot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unmask.data.annotation.exchange import Answer, Given
from unmask.data.annotation.masks import Mask
from unmask.data.annotation.names import Names
from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.rle import decode_rle, encode_rle, fill_polygons
from unmask.data.annotation.store import Annotations
from unmask.data.atomic import replace_text
from unmask.errors import DatasetError

CATEGORY = "manipulated"
_TABLES = ("images", "annotations", "categories")


def write_coco(path: Path, answers: Annotations, pictures: Sequence[Picture]) -> None:
    """Write one file for `pictures`, with the masks that the store has of them.

    Masks are packed run lengths, `iscrowd` 1 as COCO has it for those.

    Raises:
        DatasetError: `path` exists, a picture cannot be read, or a stored mask is damaged.
    """
    if path.exists():
        raise DatasetError(f"{path} exists already.", "Choose another file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(coco_document(answers, pictures), indent=1) + "\n")


def coco_document(answers: Annotations, pictures: Sequence[Picture]) -> dict[str, Any]:
    """What `write_coco` writes, as an object."""
    images: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, 1):
        width, height = picture.size
        latest = answers.latest(picture.sha256)
        about = {
            "sha256": picture.sha256,
            "revision": latest.revision if latest else 0,
            "kind": latest.kind if latest else "open",
        }
        images.append(
            {"id": number, "file_name": picture.path, "width": width, "height": height,
             "unmask": about}
        )  # fmt: skip
        if latest is not None and latest.kind == "mask":
            mask = answers.mask(latest)
            marks.append(_mark(len(marks) + 1, number, mask) | {"annotator": latest.annotator})
    return {
        "info": {"description": "Manipulated pixels, by unmask annotate"},
        "images": images,
        "annotations": marks,
        "categories": [{"id": 1, "name": CATEGORY, "supercategory": "forgery"}],
    }


def _mark(number: int, image: int, mask: Mask) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "segmentation": encode_rle(mask),
        "area": int(mask.sum()),
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "iscrowd": 1,
    }


def read_coco(path: Path, pictures: Sequence[Picture]) -> list[Answer]:
    """The answers in a COCO file; an image without any is still open and gives none.

    All marks of an image are one mask, their union. Run lengths are taken as they are; polygons
    are filled by `fill_polygons`. Of several categories only `manipulated` counts.

    Raises:
        DatasetError: not JSON, not COCO, several categories none of which is `manipulated`, an
            image listed twice, or a mark of an image that is not listed.
    """
    document = _document(path)
    category = _category(document["categories"], path)
    marks: dict[Any, list[Mapping[str, Any]]] = {image["id"]: [] for image in document["images"]}
    if len(marks) != len(document["images"]):
        raise DatasetError(f"{path}: two images have the same id.", "Export it again.")
    for mark in document["annotations"]:
        if mark["image_id"] not in marks:
            raise DatasetError(
                f"{path}: a mark is of the image {mark['image_id']}, which is not listed."
            )
        if category is None or mark.get("category_id") == category:
            marks[mark["image_id"]].append(mark)
    names = Names(pictures)
    answers = [_answer(image, marks[image["id"]], path, names) for image in document["images"]]
    return [answer for answer in answers if answer is not None]


def _answer(
    image: Mapping[str, Any], marks: Sequence[Mapping[str, Any]], path: Path, names: Names
) -> Answer | None:
    about = image.get("unmask")
    about = about if isinstance(about, dict) else {}
    kind = about.get("kind")
    if not marks and kind not in ("no_forgery", "skipped"):
        return None
    name = image["file_name"]
    picture = names.find(name)
    if isinstance(picture, str):
        picture = names.find(str(Path(name).with_suffix("")))

    def read() -> Given:
        if not marks:
            return "no_forgery" if kind == "no_forgery" else "skipped"
        assert isinstance(picture, Picture)
        return _union(marks, picture, name)

    revision, sha256 = about.get("revision"), about.get("sha256")
    return Answer(
        f"{path.as_posix()}: {name}",
        picture,
        read,
        revision if isinstance(revision, int) else None,
        sha256 if isinstance(sha256, str) else None,
    )


def _union(marks: Sequence[Mapping[str, Any]], picture: Picture, name: str) -> Mask:
    width, height = picture.size
    what = f"The mask of {name}"
    whole = np.zeros((height, width), bool)
    for mark in marks:
        shape = mark.get("segmentation")
        if isinstance(shape, list) and shape:
            whole |= fill_polygons(shape, height, width, what)
            continue
        mask = decode_rle(shape, what)
        if mask.shape != whole.shape:
            raise DatasetError(
                f"{what} has {mask.shape[1]}x{mask.shape[0]} pixels, its picture {width}x{height}."
            )
        whole |= mask
    return whole


def _document(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as JSON: {error}.") from error
    needed = {"images": ("id", "file_name"), "annotations": ("image_id",), "categories": ("id",)}
    for table in _TABLES:
        rows = document.get(table) if isinstance(document, dict) else None
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and all(isinstance(row.get(k), str | int) for k in needed[table])
            for row in rows
        ):
            raise DatasetError(
                f"{path} is no COCO file: {table} must be a list of objects with "
                f"{' and '.join(needed[table])}.",
                "Export it as COCO instance segmentation.",
            )
    if not all(isinstance(image["file_name"], str) for image in document["images"]):
        raise DatasetError(f"{path} is no COCO file: file_name must be a text.")
    return dict(document)


def _category(categories: Sequence[Mapping[str, Any]], path: Path) -> Any | None:
    """The id that counts; None where all do."""
    if len(categories) <= 1:
        return None
    for category in categories:
        if category.get("name") == CATEGORY:
            return category["id"]
    names = ", ".join(str(category.get("name")) for category in categories)
    raise DatasetError(
        f"{path} has {len(categories)} categories ({names}), none of them called {CATEGORY}.",
        f"Rename the one whose marks are the manipulated pixels to {CATEGORY}.",
    )
