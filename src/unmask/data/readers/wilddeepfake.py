"""WildDeepfake: face sequences cut from videos of the internet, as pictures.

Source: B. Zi et al., "WildDeepfake: A Challenging Real-World Dataset for Deepfake Detection", ACM
MM 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unmask.data.index import Index, index_of, video_id
from unmask.data.readers.layout import STILL_SUFFIXES, by_folder, files, frame_rows, mismatch

NAME = "wilddeepfake"
MIXED = "mixed"
"""The fakes were found, not made: nobody knows by which methods."""
_EXPECTED = """real_train/, real_test/, fake_train/, fake_test/   (at least one of them), each with
  <n>/             what <n>.tar.gz unpacks to
    real/ or fake/
      <sequence>/  *.png, each named by its frame number"""


def read(root: Path) -> Index:
    """WildDeepfake: one row per picture; a face sequence is one video.

    Pictures are crops already, of frames that are not given out, so `box` is null. All sequences
    of one archive <n> share an identity, since they may come from one video.

    Raises:
        DatasetError: none of the four folders is there, archives are not unpacked, or a picture
            lies outside a sequence.
    """
    base = root / "deepfake_in_the_wild" if (root / "deepfake_in_the_wild").is_dir() else root
    rows: list[dict[str, Any]] = []
    for label, kind in enumerate(("real", "fake")):
        for split in ("train", "test"):
            # the first release wrote the names with a space
            for folder in (base / f"{kind}_{split}", base / f"{kind} {split}"):
                rows += _sequences(folder, root, label, kind, split) if folder.is_dir() else []
    if not rows:
        packed = next(base.glob("*/*.tar.gz"), None)
        raise mismatch(
            "WildDeepfake",
            root,
            _EXPECTED,
            f"{packed.parent.name}/{packed.name} is not unpacked" if packed else "no sequences",
        )
    return index_of(root, rows)


def _sequences(folder: Path, root: Path, label: int, kind: str, split: str) -> list[dict[str, Any]]:
    rows = []
    for place, pictures in by_folder(files(folder, STILL_SUFFIXES)).items():
        # archives unpacked in their own folder repeat its name
        parts = [p for p in place.relative_to(folder).parts if p not in (kind, folder.name)]
        if len(parts) != 2:
            raise mismatch(
                "WildDeepfake", root, _EXPECTED, f"{pictures[0]} is not in <n>/{kind}/<sequence>/"
            )
        archive, sequence = parts
        manipulation = MIXED if label else ""
        shared = {
            "video_id": video_id(NAME, manipulation, "", f"{split}/{archive}/{sequence}"),
            "label": label,
            "dataset": NAME,
            "manipulation": manipulation,
            "source": "internet",
            "identities": [f"{kind}_{split}/{archive}"],
            "split": split,
        }
        rows += frame_rows(pictures, root, shared)
    return rows
