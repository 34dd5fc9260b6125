"""FaceForensics++: originals and their manipulations, three compressions, pair splits, masks.

Source: A. Rössler et al., "FaceForensics++: Learning to Detect Manipulated Facial Images", ICCV
2019, and the description of the files in its repository, ondyari/FaceForensics. Two sets that are
also given out alone, DFD and FaceShifter, share the layout: `dfd.py` and `faceshifter.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.data.index import SPLITS, Index, index_of, relative, video_id
from unmask.data.readers.layout import files, mismatch
from unmask.errors import DatasetError

QUALITY = {"raw": 0, "c23": 23, "c40": 40}
"""Compression, as its folder is called -> CRF of its H.264; raw is lossless."""

MADE_OF = {
    "Deepfakes": "youtube",
    "Face2Face": "youtube",
    "FaceSwap": "youtube",
    "NeuralTextures": "youtube",
    "FaceShifter": "youtube",
    "DeepFakeDetection": "actors",
}
"""Manipulation -> the folder of original_sequences that it was made of."""

_ORIGINAL = {"youtube": re.compile(r"(\d{3})"), "actors": re.compile(r"(\d{2})__.+")}
_FAKE = {"youtube": re.compile(r"(\d{3})_(\d{3})"), "actors": re.compile(r"(\d{2})_(\d{2})__.+")}
_EXAMPLE = {
    "youtube": ("033.mp4", "033_097.mp4"),
    "actors": ("01__outside_talking.mp4", "01_02__outside_talking__A1B2C3D4.mp4"),
}
_VIDEO = frozenset({".mp4"})
_PAIRS = "the official lists of pairs, train.json, val.json and test.json"
_FROM = "They are in dataset/splits of the data set's own repository, ondyari/FaceForensics."


@dataclass(frozen=True, slots=True)
class Part:
    """A choice of the tree that counts as one data set.

    Attributes:
        name: for the column `dataset`.
        title: for messages.
        manipulations: the keys of `MADE_OF` that are read; their originals are read with them.
        expected: the tree, as `layout.mismatch` shows it.
    """

    name: str
    title: str
    manipulations: tuple[str, ...]
    expected: str


_ALL = Part(
    "ffpp",
    "FaceForensics++",
    tuple(MADE_OF),
    """original_sequences/
  youtube/{raw,c23,c40}/videos/000.mp4
  actors/{raw,c23,c40}/videos/01__walking.mp4
manipulated_sequences/
  {Deepfakes,Face2Face,FaceSwap,NeuralTextures,FaceShifter}/
    {raw,c23,c40}/videos/000_003.mp4
    masks/videos/000_003.mp4
  DeepFakeDetection/{raw,c23,c40}/videos/01_02__walking__A1B2C3D4.mp4
splits/{train,val,test}.json
(compressions, manipulations and masks that were not downloaded may be missing)""",
)


def read(root: Path) -> Index:
    """FaceForensics++ as its download script lays it out; any part of it may be missing.

    A fake `<target>_<source>` shows the target's video with the source's face (or its expression)
    in it: both are its identities, and it has the split of its pair. An identity is the id of a
    clip: the 1000 YouTube clips come from 977 videos, so a few ids are of one person. The actors'
    part (DFD) has no official split: null. A mask belongs to all compressions of its fake;
    FaceShifter has none, that of Deepfakes is a rectangle, that of NeuralTextures the tracked face.
    The lists of pairs may lie in splits/, in the root, or in a splits/ beside it.

    Raises:
        DatasetError: another layout, no originals or no fakes, a name that is not an id, no lists
            of pairs, a damaged one, or a video whose ids are in none or in two of them.
    """
    return read_part(root, _ALL)


def read_part(root: Path, part: Part) -> Index:
    """`read`, for a part of the tree; the other parts are not looked at.

    Raises:
        DatasetError: as `read`.
    """
    _refuse_unknown(root, part)
    rows: list[dict[str, Any]] = []
    for source in dict.fromkeys(MADE_OF[name] for name in part.manipulations):
        rows += _originals(root, part, source)
    if not rows:
        raise mismatch(part.title, root, part.expected, "it holds no original videos")
    originals = len(rows)
    for manipulation in part.manipulations:
        rows += _fakes(root, part, manipulation)
    if len(rows) == originals:
        raise mismatch(part.title, root, part.expected, "it holds no manipulated videos")
    if any(row["source"] == "youtube" for row in rows):
        split = official_splits(root)
        for row in rows:
            row["split"] = _split(row, split) if row["source"] == "youtube" else None
    return index_of(root, rows)


def official_splits(root: Path) -> dict[str, str]:
    """Id of a YouTube clip -> train, val or test, from the lists of pairs.

    Raises:
        DatasetError: a list is not there, is not one of pairs of ids, or an id is in two lists.
    """
    for folder in (root / "splits", root, root.resolve().parent / "splits"):
        if any((folder / f"{split}.json").is_file() for split in SPLITS):
            break
    else:
        raise DatasetError(
            f"{root} has no splits: {_PAIRS}, are missing.",
            f"{_FROM} Put them into {root / 'splits'}.",
        )
    found: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"{split}.json"
        for clip in _ids(path):
            if found.setdefault(clip, split) != split:
                raise DatasetError(
                    f"{path} lists {clip}, and so does {found[clip]}.json: it would leak.",
                    f"Restore {_PAIRS}. {_FROM}",
                )
    return found


def _ids(path: Path) -> list[str]:
    """Both ids of every pair of a list."""
    try:
        pairs = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        raise DatasetError(f"There is no {path}.", _FROM) from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as JSON: {error}.", _FROM) from error
    if not isinstance(pairs, list) or not pairs:
        raise DatasetError(f'{path} must hold pairs of ids, [["071", "054"], ...].', _FROM)
    for pair in pairs:
        clips = pair if isinstance(pair, list) else []
        if len(clips) != 2 or not all(
            isinstance(c, str) and re.fullmatch(r"\d{3}", c) for c in clips
        ):
            raise DatasetError(
                f'{path} must hold pairs of ids, [["071", "054"], ...]; got {pair!r}.', _FROM
            )
    return [clip for pair in pairs for clip in pair]


def _split(row: Mapping[str, Any], split: Mapping[str, str]) -> str:
    """The split that all ids of a video are in."""
    absent = [clip for clip in row["identities"] if clip not in split]
    if absent:
        raise DatasetError(
            f"{row['path']} has no split: {absent[0]} is in none of {_PAIRS}.",
            f"Take the video away or restore the lists. {_FROM}",
        )
    target, *source = (split[clip] for clip in row["identities"])
    if source and source[0] != target:
        raise DatasetError(
            f"{row['path']} is no pair of the official lists: its target is in {target}, its "
            f"source in {source[0]}.",
            f"Take the video away or restore the lists. {_FROM}",
        )
    return target


def _originals(root: Path, part: Part, source: str) -> Iterator[dict[str, Any]]:
    for compression, path in _videos(root, part, root / "original_sequences" / source):
        (identity,) = _named(path.stem, _ORIGINAL[source], _EXAMPLE[source][0], root, part)
        yield {
            # youtube and actors are two name spaces under one "real"
            "video_id": video_id(part.name, "", compression, f"{source}/{path.stem}"),
            "path": relative(path, root),
            "label": 0,
            "dataset": part.name,
            "compression": compression,
            "source": source,
            "identities": [identity],
            "codec": "h264",
            "quality": QUALITY[compression],
        }


def _fakes(root: Path, part: Part, manipulation: str) -> Iterator[dict[str, Any]]:
    folder, source = root / "manipulated_sequences" / manipulation, MADE_OF[manipulation]
    masks = {compression: _masks(folder, compression) for compression in QUALITY}
    for compression, path in _videos(root, part, folder):
        people = _named(path.stem, _FAKE[source], _EXAMPLE[source][1], root, part)
        mask = masks[compression].get(path.stem)
        yield {
            "video_id": video_id(part.name, manipulation, compression, path.stem),
            "path": relative(path, root),
            "label": 1,
            "dataset": part.name,
            "manipulation": manipulation,
            "compression": compression,
            "source": source,
            "identities": list(people),
            "mask_path": None if mask is None else relative(mask, root),
            "codec": "h264",
            "quality": QUALITY[compression],
        }


def _videos(root: Path, part: Part, folder: Path) -> list[tuple[str, Path]]:
    """(compression, video) of one folder with raw/, c23/, c40/; none where it does not exist."""
    places = {compression: folder / compression / "videos" for compression in QUALITY}
    there = [(name, path) for name, place in places.items() for path in files(place, _VIDEO)]
    for compression, path in there:
        if path.parent != places[compression]:  # its name alone might be another's
            problem = f"{relative(path, root)} lies too deep"
            raise mismatch(part.title, root, part.expected, problem)
    if folder.is_dir() and not there:
        problem = f"{relative(folder, root)} has no videos in raw/videos, c23/videos or c40/videos"
        raise mismatch(part.title, root, part.expected, problem)
    return there


def _masks(folder: Path, compression: str) -> dict[str, Path]:
    """Stem -> mask video: one for all compressions, or where kept so, one for each."""
    for place in (f"masks/{compression}/videos", f"{compression}/masks/videos", "masks/videos"):
        found = files(folder / place, _VIDEO)
        if found:
            return {path.stem: path for path in found}
    return {}


def _named(
    stem: str, pattern: re.Pattern[str], example: str, root: Path, part: Part
) -> tuple[str, ...]:
    match = pattern.fullmatch(stem)
    if match is None:
        problem = f"{stem}.mp4 is not named like {example}"
        raise mismatch(part.title, root, part.expected, problem)
    return match.groups()


def _refuse_unknown(root: Path, part: Part) -> None:
    """A misspelt folder must not pass for one that was not downloaded."""
    known = {"original_sequences": set(MADE_OF.values()), "manipulated_sequences": set(MADE_OF)}
    for folder, names in known.items():
        if not (root / folder).is_dir():
            raise mismatch(part.title, root, part.expected, f"there is no {folder}/")
        for entry in sorted((root / folder).iterdir()):
            if entry.is_dir() and entry.name not in names and not entry.name.startswith("."):
                problem = f"{folder}/{entry.name} is none of {', '.join(sorted(names))}"
                raise mismatch(part.title, root, part.expected, problem)
