"""DeeperForensics-1.0: swaps of 100 paid actors' faces into FaceForensics++'s YouTube clips.

Source: L. Jiang et al., "DeeperForensics-1.0: A Large-Scale Dataset for Real-World Face Forgery
Detection", CVPR 2020, and the description of the files in EndlessSora/DeeperForensics-1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from unmask.data.index import SPLITS, Index, index_of, relative, video_id
from unmask.data.readers.layout import files, mismatch, text_lines
from unmask.errors import DatasetError

NAME = "deeperforensics"
VARIANTS = (
    "end_to_end",
    "reenact_postprocess",
    *(f"end_to_end_level_{level}" for level in range(1, 6)),
    "end_to_end_random_level",
    *(f"end_to_end_mix_{count}_distortions" for count in (2, 3, 4)),
)
"""Folders of manipulated_videos: two ways to swap, and the first with distortions added."""

_TITLE = "DeeperForensics-1.0"
_VIDEO = frozenset({".mp4"})
_FAKE = re.compile(r"(\d{3})_([MW]\d{3})")
_ACTOR = re.compile(r"([MW]\d{3})_.+")
_EXPECTED = """manipulated_videos/
  {end_to_end,reenact_postprocess,end_to_end_level_1,...}/000_M101.mp4
source_videos/M101/**/M101_light_up_happy_camera_front.mp4   (may be missing)
lists/splits/{train,val,test}.txt                            000_M101.mp4, one a line"""


def read(root: Path) -> Index:
    """DeeperForensics-1.0; variants and source videos that were not downloaded may be missing.

    A fake `000_M101` is FaceForensics++'s clip 000 with the face of actor M101; `manipulation` is
    its variant, its identities are both, and all variants have the split of the name. The splits
    are by actor, and are not FaceForensics++'s: the people of clip 000 may be in the training
    videos of that set.

    The **reals that belong to the fakes are FaceForensics++'s originals at c23**, which this data
    set may not give out. The source videos, listed here as reals with source `studio`, were shot
    under other conditions: a detector that learns them against the fakes learns the studio. Their
    split is that of their actor's fakes, null where those have none or several.

    Raises:
        DatasetError: another layout, no fakes, an unknown variant, a name that is not an id, no
            lists, a damaged one, a name in two of them, or a fake that is in none.
    """
    fakes = list(_fakes(root))
    splits = _official_splits(root)
    for row in fakes:
        name = PurePosixPath(row["path"]).stem
        if name not in splits:
            raise DatasetError(
                f"{row['path']} has no split: no list in {root / 'lists/splits'} names it.",
                "Take the video away or restore the lists as they were given out.",
            )
        row["split"] = splits[name]
    return index_of(root, [*fakes, *_sources(root, _by_actor(splits))])


def _fakes(root: Path) -> Iterator[dict[str, Any]]:
    folder = root / "manipulated_videos"
    variants = sorted(e for e in folder.iterdir() if e.is_dir()) if folder.is_dir() else []
    if not any(files(variant, _VIDEO) for variant in variants):
        raise mismatch(_TITLE, root, _EXPECTED, "manipulated_videos/ holds no videos")
    for variant in variants:
        if variant.name not in VARIANTS:
            problem = f"manipulated_videos/{variant.name} is none of the 11 variants"
            raise mismatch(_TITLE, root, _EXPECTED, problem)
        for path in files(variant, _VIDEO):
            match = _FAKE.fullmatch(path.stem)
            if match is None or path.parent != variant:
                problem = f"{relative(path, root)} is not <variant>/<target>_<actor>.mp4"
                raise mismatch(_TITLE, root, _EXPECTED, problem)
            yield {
                "video_id": video_id(NAME, variant.name, "", path.stem),
                "path": relative(path, root),
                "label": 1,
                "dataset": NAME,
                "manipulation": variant.name,
                "source": "youtube",
                "identities": list(match.groups()),
            }


def _sources(root: Path, split: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    folder = root / "source_videos"
    for path in files(folder, _VIDEO):
        match = _ACTOR.fullmatch(path.stem)
        inside = path.relative_to(folder)
        if match is None or inside.parts[0] != match[1]:
            problem = f"{relative(path, root)} is not in source_videos/<actor>/ or not named so"
            raise mismatch(_TITLE, root, _EXPECTED, problem)
        yield {
            "video_id": video_id(NAME, "", "", inside.with_suffix("").as_posix()),
            "path": relative(path, root),
            "label": 0,
            "dataset": NAME,
            "source": "studio",
            "identities": [match[1]],
            "split": split.get(match[1]),
        }


def _official_splits(root: Path) -> dict[str, str]:
    """Name of a fake -> its split."""
    found: dict[str, str] = {}
    for split in SPLITS:
        path = root / "lists" / "splits" / f"{split}.txt"
        if not path.is_file():
            raise mismatch(_TITLE, root, _EXPECTED, f"there is no lists/splits/{split}.txt")
        for number, line in text_lines(path):
            name = PurePosixPath(line).stem
            if not _FAKE.fullmatch(name):
                raise DatasetError(
                    f"{path}:{number} must name a fake, e.g. 000_M101.mp4; got {line!r}."
                )
            if found.setdefault(name, split) != split:
                raise DatasetError(
                    f"{path}:{number} lists {name}, and so does {found[name]}.txt: it would leak.",
                    "Restore the lists as they were given out.",
                )
    return found


def _by_actor(splits: Mapping[str, str]) -> dict[str, str]:
    """Actor -> split of the fakes with that face, where they agree."""
    several: dict[str, set[str]] = {}
    for name, split in splits.items():
        several.setdefault(name.partition("_")[2], set()).add(split)
    return {actor: found.pop() for actor, found in several.items() if len(found) == 1}
