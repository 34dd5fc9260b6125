"""UADFV: 49 videos from YouTube and 49 fakes made of them with FakeApp.

Source: X. Yang et al., "Exposing Deep Fakes Using Inconsistent Head Poses", ICASSP 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unmask.data.index import Index, index_of, relative, video_id
from unmask.data.readers.layout import (
    STILL_SUFFIXES,
    VIDEO_SUFFIXES,
    by_folder,
    files,
    frame_rows,
    mismatch,
)

NAME = "uadfv"
_EXPECTED = """real/   <id>.mp4        (or frames/<id>/*.png where the videos are not there)
fake/   <id>_fake.mp4   (or frames/<id>_fake/*.png)"""


def read(root: Path) -> Index:
    """UADFV: a row per video, or per picture where there are only frames.

    There is no official split: `split` is null. A fake and the video it was made of share an
    identity; whose face was put in is not told.

    Raises:
        DatasetError: another layout, or a fake that is not named <id>_fake.
    """
    rows: list[dict[str, Any]] = []
    for label, kind in enumerate(("real", "fake")):
        found = _rows(root / kind, root, label) if (root / kind).is_dir() else []
        if not found:
            raise mismatch("UADFV", root, _EXPECTED, f"{kind}/ holds no videos and no frames")
        rows += found
    return index_of(root, rows)


def _rows(folder: Path, root: Path, label: int) -> list[dict[str, Any]]:
    videos = files(folder, VIDEO_SUFFIXES)
    if videos:  # frames beside them are only copies
        return [
            {**_shared(video.stem, root, label), "path": relative(video, root)} for video in videos
        ]
    pictures = files(folder / "frames", STILL_SUFFIXES)
    rows: list[dict[str, Any]] = []
    for place, frames in by_folder(pictures).items():
        rows += frame_rows(frames, root, _shared(place.name, root, label))
    return rows


def _shared(name: str, root: Path, label: int) -> dict[str, Any]:
    if label and not name.endswith("_fake"):
        raise mismatch("UADFV", root, _EXPECTED, f"the fake {name} is not named <id>_fake")
    manipulation = "FakeApp" if label else ""
    return {
        "video_id": video_id(NAME, manipulation, "", name),
        "label": label,
        "dataset": NAME,
        "manipulation": manipulation,
        "source": "youtube",
        "identities": [name.removesuffix("_fake")],
    }
