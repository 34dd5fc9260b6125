"""DiFF: faces made by thirteen diffusion methods under four conditions, as pictures.

Source: H. Cheng et al., "Diffusion Facial Forgery Detection", ACM MM 2024.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unmask.data.index import SPLITS, Index, index_of, relative, video_id
from unmask.data.readers.layout import STILL_SUFFIXES, files, mismatch, stems, still_codec

NAME = "diff"
CONDITIONS = ("FE", "FS", "I2I", "T2I")
"""Face editing, face swapping, image to image, text to image."""
_EXPECTED = """DiFF_real/
  train/, val/, test/     pictures
train/, val/, test/       (those that are there)
  FE/, FS/, I2I/, T2I/
    <method>/             pictures"""


def read(root: Path) -> Index:
    """DiFF: one row per picture; `manipulation` is <condition>_<method>.

    Reals are given out on request only, so they may be absent. Who is in a picture is not told.

    Raises:
        DatasetError: neither fakes nor reals are where they should be.
    """
    rows: list[dict[str, Any]] = []
    for split in SPLITS:
        rows += _rows(root / "DiFF_real" / split, root, split, "")
        for condition in CONDITIONS:
            base = root / split / condition
            rows += _rows(base, root, split, condition, direct=True)
            for method in sorted(p for p in base.glob("*/") if p.is_dir()):
                rows += _rows(method, root, split, f"{condition}_{method.name}")
    if not rows:
        raise mismatch("DiFF", root, _EXPECTED, "no pictures in its folders")
    return index_of(root, rows)


def _rows(
    folder: Path, root: Path, split: str, manipulation: str, *, direct: bool = False
) -> list[dict[str, Any]]:
    """Rows of the pictures in a folder; `direct`: those below its folders are left out."""
    paths = files(folder, STILL_SUFFIXES) if folder.is_dir() else []
    paths = [path for path in paths if not direct or path.parent == folder]
    names = stems([relative(path, folder) for path in paths])
    return [
        {
            "video_id": video_id(NAME, manipulation, "", f"{split}/{name}"),
            "frame": 0,
            "path": relative(path, root),
            "label": int(manipulation != ""),
            "dataset": NAME,
            "manipulation": manipulation,
            "source": NAME,
            "identities": [],
            "split": split,
            "codec": still_codec(path),
        }
        for path, name in zip(paths, names, strict=True)
    ]
