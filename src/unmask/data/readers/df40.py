"""DF40: forty methods applied to people of FaceForensics++ and Celeb-DF, as face crops.

Source: Z. Yan et al., "DF40: Toward Next-Generation Deepfake Detection", NeurIPS 2024.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.data.index import Index, index_of, relative, video_id
from unmask.data.readers.layout import (
    STILL_SUFFIXES,
    by_folder,
    files,
    frame_rows,
    mismatch,
    still_codec,
)

NAME = "df40"
_EXPECTED = """test data:       <method>/ff/frames/<video>/<frame>.png    people of FaceForensics++
                 <method>/cdf/frames/<video>/<frame>.png   people of Celeb-DF
                 (whole faces made from noise have no frames/)
of nine methods: <method>/real/ and <method>/fake/         with their own reals
training data:   <method>/frames/<video>/<frame>.png       people of FaceForensics++"""
_CONTAINERS = ("frames", "inversions")
_SOURCES = {"ff": "ffpp", "cdf": "celebdf"}
_OF_REALS = frozenset(
    {
        "real", "reals", "realvideos", "realimages", "realfaces", "celebreal", "youtubereal",
        "youtube", "actors", "original", "originals", "originalsequences", "originalvideos",
        "originalimages", "pristine", "authentic", "genuine", "ffreal", "dfdreal", "celebdfreal",
        "celebdfv1real", "celebdfv2real", "dfdcreal", "dfdcpreal", "uadfvreal", "diffreal",
    }
)  # fmt: skip
"""Names of folders that hold reals, in small letters and without marks: no method's."""
_NO_METHODS = frozenset({"ff", "cdf", "fake", *_CONTAINERS, "ffhq", "celeba", "celeba-hq"})
"""Folders inside a method's: one right below the root means that the root is a method's own. Data
sets of reals may also be what a method's fakes are sorted by, so only as a method are they none."""
_SPLITS = {"cdf": "test", "fake": "test", "real": "test", "train": "train"}


@dataclass(frozen=True)
class _Place:
    """What a folder's path says. part: ff, cdf, real, fake or train; video: '' for stills."""

    method: str
    part: str
    video: str


def read(root: Path) -> Index:
    """DF40: one row per picture; `manipulation` is the method's folder.

    `split`: train for the training data; test for people of Celeb-DF and the methods with reals of
    their own, with which nothing is ever trained; null for those of FaceForensics++, whose own pair
    lists decide. Reals of the other methods are those two data sets' (read them from there); the
    people keep their names there, as `ffpp/000` and `celebdf/id0`.

    A folder called like a collection of reals (`Celeb-real`, `youtube`, `original_sequences`, ...)
    is refused wherever a method or a method's video should be.

    Raises:
        DatasetError: a picture lies in none of the expected places.
    """
    rows: list[dict[str, Any]] = []
    for method in sorted(p for p in root.glob("*/") if p.is_dir()):
        for folder, pictures in by_folder(_pictures(method)).items():
            place = _place(folder.relative_to(root).parts)
            if place is None:
                raise mismatch(
                    "DF40", root, _EXPECTED, f"{relative(pictures[0], root)} lies in none of these"
                )
            rows += _rows(place, pictures, root)
    if not rows:
        raise mismatch("DF40", root, _EXPECTED, "no pictures")
    return index_of(root, rows)


def _pictures(method: Path) -> list[Path]:
    return [p for p in files(method, STILL_SUFFIXES) if "masks" not in p.relative_to(method).parts]


def _place(parts: tuple[str, ...]) -> _Place | None:
    """What a folder holds, by its parts below the root; None for a folder of no known place.

    Strict about depth and names, so that reals that lie beside (Celeb-real/frames/...,
    FaceForensics++/original_sequences/...) are never taken for a method's fakes.
    """
    method, *rest = parts
    if method.lower() in _NO_METHODS or _holds_reals(method):
        return None
    part = rest.pop(0) if rest and rest[0] in ("ff", "cdf", "real", "fake") else "train"
    contained = bool(rest) and rest[0] in _CONTAINERS
    if contained:
        rest.pop(0)
    if part != "real" and any(map(_holds_reals, rest)):
        return None
    if len(rest) > 1 and part in ("ff", "cdf", "train"):
        return None
    if not rest and part == "train":
        return None
    return _Place(method, part, "/".join(rest))


def _holds_reals(folder: str) -> bool:
    return re.sub(r"[^a-z0-9]", "", folder.lower()) in _OF_REALS


def _rows(place: _Place, pictures: list[Path], root: Path) -> list[dict[str, Any]]:
    if place.video:
        return frame_rows(pictures, root, _shared(place, place.video))
    return [
        {
            **_shared(place, picture.stem),
            "frame": 0,
            "path": relative(picture, root),
            "codec": still_codec(picture),
        }
        for picture in pictures
    ]


def _shared(place: _Place, video: str) -> dict[str, Any]:
    real = place.part == "real"
    domain = "ff" if place.part == "train" else place.part
    manipulation = "" if real else place.method
    return {
        "video_id": video_id(
            NAME, manipulation, "", f"{place.method}/{video}" if real else f"{domain}/{video}"
        ),
        "label": int(not real),
        "dataset": NAME,
        "manipulation": manipulation,
        "source": _SOURCES.get(domain, place.method),
        "identities": _people(domain, video),
        "split": _SPLITS.get(place.part),
    }


def _people(domain: str, video: str) -> list[str]:
    """Who is in it, by the video's name: `000_003` (target, source), `id0_id1_0000`, `000`."""
    pattern = {"ff": r"(\d{3})(?:_(\d{3}))?", "cdf": r"(id\d+)(?:_(id\d+))?_\d{4}"}.get(domain)
    match = re.fullmatch(pattern, video) if pattern else None
    return [f"{_SOURCES[domain]}/{name}" for name in match.groups() if name] if match else []
