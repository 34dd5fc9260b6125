"""Pictures and videos in real/ and fake/, sorted by whoever collected them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from unmask.data.index import INDEX_FILE, Index, index_of, relative, video_id
from unmask.data.readers.layout import (
    STILL_SUFFIXES,
    VIDEO_SUFFIXES,
    by_folder,
    files,
    stems,
    still_codec,
)
from unmask.errors import DatasetError
from unmask.media import SUPPORTED_SUFFIXES

Split = Literal["train", "val", "test"]
LAYOUT = """Expected either a CSV with the columns path,label,split (and optionally source,
  generator, identity), label 0 for real and 1 for fake, paths relative to the CSV; or a folder with
    real/  pictures or videos (or one folder of numbered frames per video)
    fake/  pictures or videos, or one folder of them per generator"""
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class _Found:
    """A picture or video. clip: the folder of one video that it is of; None if it stands alone."""

    path: Path
    clip: Path | None

    @property
    def key(self) -> Path:
        """What a video_id is made of."""
        return self.clip or self.path

    @property
    def name(self) -> str:
        """Whose face it is, as far as the tree tells."""
        return self.clip.name if self.clip else self.path.stem


def read(root: Path) -> Index:
    """A folder with real/ and fake/: a row per picture or video, at any depth.

    The first folder below fake/ names the generator (`manipulation`; `fake` without one), that
    below real/ the source. The data set is named after the folder.

    A video may be a folder of numbered frames: where two or more folders side by side hold pictures
    named by numbers alone, and share numbers, each of those folders is one video, named after the
    folder; `frame` is the number. (So real/vid0/0001.png and real/vid1/0001.png are two videos,
    real/ffhq/00700.jpg is a single picture as long as no folder beside it has a 700.) Right below
    fake/, where folders are generators, this holds only if real/ has such videos too, or one of
    the folders is named after reals.

    The identity of a real is its name without suffix: of the video's folder, else of the file. The
    identities of a fake are the reals that its name, or parts of it between `_`, are the name of
    (000_001 beside reals 000 and 001: both), else its own name. The identity decides the split;
    people who are connected by fakes, over however many others, are in one, that of the first of
    them by name. Fakes that pair everybody with everybody therefore leave one split only.

    Raises:
        DatasetError: not both folders, or no pictures and videos in them.
    """
    if not (root / "real").is_dir() or not (root / "fake").is_dir():
        found = ", ".join(sorted(p.name for p in root.iterdir())[:10]) if root.is_dir() else ""
        if (root / INDEX_FILE).is_file():
            raise prepared(root)
        raise DatasetError(
            f"{root} has no folders real/ and fake/; found {found or 'nothing'}.", LAYOUT
        )
    reals, fakes = root / "real", root / "fake"
    real_files, fake_files = (files(base, SUPPORTED_SUFFIXES) for base in (reals, fakes))
    clips = _clips(real_files)
    real = [_Found(path, path.parent if path.parent in clips else None) for path in real_files]
    named = {found.name for found in real}
    others = _clips(fake_files)
    top = {folder for folder in others if folder.parent == fakes}
    if not clips and not any(_parts(folder.name, named) for folder in top):
        others -= top
    fake = [_Found(path, path.parent if path.parent in others else None) for path in fake_files]
    people = {found.name: _parts(found.name, named) or [found.name] for found in fake}
    first = _connected(people.values())
    rows = [
        *_rows(reals, root, 0, {found: [found.name] for found in real}, first),
        *_rows(fakes, root, 1, {found: people[found.name] for found in fake}, first),
    ]
    if not rows:
        raise DatasetError(f"{root} lists no pictures.", LAYOUT)
    return index_of(root, rows)


def prepared(root: Path) -> DatasetError:
    """What to say of a folder whose labels stand in an index."""
    return DatasetError(
        f"{root} holds an index, which says what is real and what is fake; its folders do not.",
        f"Give the index: {root / INDEX_FILE}",
    )


def read_reals(base: Path, root: Path) -> Index:
    """Pictures below `base` as reals, by the rules of `read`; paths are relative to `root`."""
    paths = files(base, STILL_SUFFIXES)
    clips = _clips(paths)
    found = [_Found(path, path.parent if path.parent in clips else None) for path in paths]
    return index_of(root, _rows(base, root, 0, {one: [one.name] for one in found}, {}))


def _rows(
    base: Path,
    root: Path,
    label: int,
    people: Mapping[_Found, list[str]],
    first: Mapping[str, str],
) -> list[dict[str, Any]]:
    dataset = root.resolve().name or "folder"
    rows = []
    inner = stems([relative(found.key, base) for found in people])
    for (found, identities), stem in zip(people.items(), inner, strict=True):
        group = found.key.relative_to(base).parts[0] if found.key.parent != base else base.name
        manipulation = group if label else ""
        inside = stem.removeprefix(f"{group}/") if label else stem
        still = found.path.suffix.lower() not in VIDEO_SUFFIXES
        number = int(found.path.stem) if found.clip and still else 0
        rows.append(
            {
                "video_id": video_id(dataset, manipulation, "", inside),
                "frame": number if still else None,
                "path": relative(found.path, root),
                "label": label,
                "dataset": dataset,
                "manipulation": manipulation,
                "source": group,
                "identities": identities,
                "split": split_of(first.get(identities[0], identities[0])),
                "codec": still_codec(found.path),
            }
        )
    return rows


def _clips(paths: Iterable[Path]) -> set[Path]:
    """Folders of one video's frames: all stills named by numbers, of which a sibling has one too.

    A number of more than nine digits is a time or an id, not that of a frame.
    """
    numbers: dict[Path, set[int]] = {}
    pictures = (path for path in paths if path.suffix.lower() not in VIDEO_SUFFIXES)
    for folder, inside in by_folder(pictures).items():
        if all(_NUMBER.fullmatch(path.stem) for path in inside):
            numbers[folder] = {int(path.stem) for path in inside}
    often = Counter((folder.parent, n) for folder, own in numbers.items() for n in own)
    return {
        folder for folder, own in numbers.items() if any(often[folder.parent, n] > 1 for n in own)
    }


def _parts(name: str, named: Collection[str]) -> list[str]:
    """The reals in a fake's name: itself, or the longest runs of its `_`-separated parts.

    >>> _parts("img_1_img_2_x", {"img_1", "img_2", "2"})
    ['img_1', 'img_2']
    """
    parts = name.split("_")
    found: list[str] = []
    start = 0
    while start < len(parts):
        for end in range(len(parts), start, -1):
            run = "_".join(parts[start:end])
            if run in named:
                found.append(run)
                start = end
                break
        else:
            start += 1
    return list(dict.fromkeys(found))


def _connected(groups: Iterable[list[str]]) -> dict[str, str]:
    """Name -> the first, in order, of all names that groups connect it with."""
    parent: dict[str, str] = {}

    def top(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = name = parent[above]
        return name

    for group in groups:
        for name in group[1:]:
            low, high = sorted((top(group[0]), top(name)))
            parent[high] = low
    return {name: top(name) for name in list(parent)}


def split_of(identity: str) -> Split:
    """70% train, 10% val, 20% test by a hash of the identity: the same on every machine."""
    place = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) / 2**32
    return "train" if place < 0.7 else "val" if place < 0.8 else "test"
