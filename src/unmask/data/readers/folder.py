"""Pictures and videos in real/ and fake/, sorted by whoever collected them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from unmask.data.index import Index, index_of, relative, video_id
from unmask.data.readers.layout import VIDEO_SUFFIXES, files, stems, still_codec
from unmask.errors import DatasetError
from unmask.media import SUPPORTED_SUFFIXES

Split = Literal["train", "val", "test"]
LAYOUT = """Expected either a CSV with the columns path,label,split (and optionally source,
  generator, identity), label 0 for real and 1 for fake, paths relative to the CSV; or a folder with
    real/  pictures or videos
    fake/  pictures or videos, or one folder of them per generator"""


def read(root: Path) -> Index:
    """A folder with real/ and fake/: a row per picture or video, at any depth.

    The first folder below fake/ names the generator (`manipulation`; `fake` without one), that
    below real/ the source. A file's name without suffix is the identity, which decides the split:
    a fake that keeps its original's name stays on the same side. The data set is named after the
    folder.

    Raises:
        DatasetError: not both folders, or no pictures and videos in them.
    """
    if not (root / "real").is_dir() or not (root / "fake").is_dir():
        found = ", ".join(sorted(p.name for p in root.iterdir())[:10]) if root.is_dir() else ""
        raise DatasetError(
            f"{root} has no folders real/ and fake/; found {found or 'nothing'}.", LAYOUT
        )
    rows = [
        row
        for label, name in enumerate(("real", "fake"))
        for row in _rows(root / name, root, label, name)
    ]
    if not rows:
        raise DatasetError(f"{root} lists no pictures.", LAYOUT)
    return index_of(root, rows)


def _rows(base: Path, root: Path, label: int, name: str) -> list[dict[str, Any]]:
    dataset = root.resolve().name or "folder"
    paths = files(base, SUPPORTED_SUFFIXES)
    rows = []
    for path, stem in zip(paths, stems([relative(path, base) for path in paths]), strict=True):
        group = path.relative_to(base).parts[0] if path.parent != base else name
        manipulation = group if label else ""
        inside = stem.removeprefix(f"{group}/") if label else stem
        rows.append(
            {
                "video_id": video_id(dataset, manipulation, "", inside),
                "frame": None if path.suffix.lower() in VIDEO_SUFFIXES else 0,
                "path": relative(path, root),
                "label": label,
                "dataset": dataset,
                "manipulation": manipulation,
                "source": group,
                "identities": [path.stem],
                "split": split_of(path.stem),
                "codec": still_codec(path),
            }
        )
    return rows


def split_of(identity: str) -> Split:
    """70% train, 10% val, 20% test by a hash of the identity: the same on every machine."""
    place = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) / 2**32
    return "train" if place < 0.7 else "val" if place < 0.8 else "test"
