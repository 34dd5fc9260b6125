"""The field's common exchange format: a JSON of frames per video, read and written.

`{dataset: {label: {split: {[compression:] {video: {"label": ..., "frames": [...], "masks": [...]}}}
}}}`, in which `label` is a string such as `FF-DF` that a separate table maps to real or fake.
Source: Z. Yan et al., "DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection", NeurIPS
2023, whose preprocessing defines it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from unmask.data.atomic import replace_text
from unmask.data.index import SPLITS, Index, index_of, relative, video_id
from unmask.data.readers.layout import mismatch, numbered, read_json, still_codec
from unmask.errors import DatasetError

LABELS: dict[str, int] = {
    "FF-real": 0, "FF-DF": 1, "FF-F2F": 1, "FF-FS": 1, "FF-NT": 1, "FF-FH": 1, "FF-SH": 1,
    "DFD_real": 0, "DFD_fake": 1,
    "CelebDFv1_real": 0, "CelebDFv1_fake": 1, "CelebDFv2_real": 0, "CelebDFv2_fake": 1,
    "DFDC_Real": 0, "DFDC_Fake": 1, "DFDCP_Real": 0, "DFDCP_FakeA": 1, "DFDCP_FakeB": 1,
    "DF_real": 0, "DF_fake": 1, "UADFV_Real": 0, "UADFV_Fake": 1, "roop_Real": 0, "roop_Fake": 1,
}  # fmt: skip
"""The label strings in common use, 0 real, 1 fake. More come with a call, or from a file
`<name>.labels.json` beside `<name>.json`."""

MANIPULATIONS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
    "DFD_fake": "DeepFakeDetection",
}
"""Label strings of fakes that have a name of their own in an index; others are kept as they are."""
DATASETS = {
    "FaceForensics++": "ffpp",
    "FF-DF": "ffpp", "FF-F2F": "ffpp", "FF-FS": "ffpp", "FF-NT": "ffpp",
    "FaceShifter": "faceshifter",
    "DeepFakeDetection": "dfd",
    "Celeb-DF-v1": "celebdf-v1",
    "Celeb-DF-v2": "celebdf-v2",
    "DFDC": "dfdc",
    "DFDCP": "dfdc-preview",
    "UADFV": "uadfv",
    "DeeperForensics-1.0": "deeperforensics",
}  # fmt: skip
"""Data sets under their names in common files -> under ours, so that the same people, read in two
ways, are seen to be the same. Written back, ours have the first of the common names."""
_COMMON = {ours: name for name, ours in reversed(DATASETS.items())}

_CLIP, _ACTOR = r"(\d{3})(?:_(\d{3}))?", r"(\d{2})(?:_(\d{2}))?__.+"
_CELEBRITY = r"(id\d+)(?:_(id\d+))?_\d+"
_PEOPLE = {
    "ffpp": (_CLIP, _ACTOR),
    "faceshifter": (_CLIP,),
    "dfd": (_ACTOR,),
    "celebdf-v1": (_CELEBRITY,),
    "celebdf-v2": (_CELEBRITY,),
    "celebdf-pp": (r"(id\d+)(?:_(id\d+))?_.+",),
    "deeperforensics": (r"(\d{3})(?:_([MW]\d{3}))?", r"([MW]\d{3})_.+"),
    # a fake is <face put in>_<filmed>_<letter>_...; the one filmed comes first
    "dfdc-preview": (r"(?=(?:\d+_)?(\d+)_[A-Z]_)(?:(\d+)_)?\d+_[A-Z]_.+",),
    "uadfv": (r"(.+?)(?:_fake)?",),
}
"""Our name of a data set -> what its videos are called, the people in groups; as its reader says.
The names of other data sets (DFDC's) do not tell people."""
_STRINGS = {name: string for string, name in MANIPULATIONS.items()}

_EXPECTED = """<name>.json     {dataset: {label: {split: {video: {"label": ..., "frames": [...]}}}}}
<name>.labels.json                   {label: 0 or 1}, for labels beyond the common ones
.../frames/<video>/<frame>.png       as the JSON lists them
.../masks/<video>/<frame>.png        where there are masks
.../landmarks/<video>/<frame>.npy    where there are landmarks"""
_CERTAIN = {"test": 2, "train": 1, "val": 0}

Row = dict[str, Any]


@dataclass(frozen=True)
class _Video:
    """One entry of the JSON."""

    dataset: str
    label: str
    split: str
    compression: str
    name: str
    frames: tuple[str, ...]
    masks: tuple[str, ...]
    landmarks: tuple[str, ...]


def read(path: Path, *, root: Path | None = None, labels: Mapping[str, int] | None = None) -> Index:
    """An exchange JSON: a row per frame.

    Frames are looked for below `root` by ever shorter ends of their paths, so a JSON from another
    machine (absolute, or with backslashes) works. A listed frame that is not there is still a row:
    `unmask prepare` reports it. Masks and landmarks are taken as listed, else from beside the
    frames (`frames` in the path replaced) where they exist. A video that is listed in several
    splits (common files repeat test videos as val, or all of them as train) counts as test before
    train before val. `source` of a real is its label string; a dataset's reals under several label
    strings have it in their video_id. Known data sets get our names (`DATASETS`). The format has
    no identities: of data sets whose videos are named after people (`000_003`, `id0_id1_0000`)
    they are taken from there, as the data set's own reader does; of all others they are empty.

    Args:
        path: the JSON file.
        root: the folder its paths start from; the JSON's own when left out.
        labels: label strings beyond `LABELS` -> 0 real, 1 fake.

    Raises:
        DatasetError: not this format, an unknown label string or split, or no frame is there.
    """
    if not path.is_file() or path.suffix.lower() != ".json":
        raise mismatch("the exchange format", path, _EXPECTED, "it is not a JSON file")
    root = root or path.parent
    table = {**LABELS, **_beside(path), **(labels or {})}
    videos = _unique(list(_videos(path)), table, path)
    reals: dict[str, set[str]] = {}
    for video in videos:
        if not table[video.label]:
            reals.setdefault(video.dataset, set()).add(video.label)
    places = _Places(root)
    rows = [
        row
        for video in videos
        for row in _rows(video, table[video.label], len(reals.get(video.dataset, ())) > 1, places)
    ]
    if not rows or not places.found:
        what = f"{path.name} lists no frames" if not rows else f"none of its {len(rows)} frames"
        raise mismatch(
            "the exchange format",
            root,
            _EXPECTED,
            what + (f" is there, such as {videos[0].frames[0]}" if rows else ""),
        )
    return index_of(root, rows)


def write_exchange(
    index: Index, path: Path, *, labels: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Write an index of frames as exchange JSON, and its label table as `<name>.labels.json`.

    Data sets have their common name where there is one (`DATASETS`). Fakes are labelled by
    `MANIPULATIONS`' string or else their manipulation, reals by their source where that is a label
    string for reals, else `<dataset>_real`. Paths start from the JSON's folder, or are absolute
    where the pictures lie elsewhere. What the format has no place for is left out: identities,
    boxes, landmarks given as numbers, sizes, codecs, and frame numbers that are not the pictures'
    names.

    Args:
        index: rows of frames or stills, each with a split.
        path: of the JSON.
        labels: label strings beyond `LABELS`, to tell that a source is one.

    Returns:
        The label table: label string -> 0 or 1.

    Raises:
        DatasetError: a row is a whole video or has no split, or a label string would stand for both
            reals and fakes.
    """
    table = {**LABELS, **(labels or {})}
    used: dict[str, int] = {}
    tree: dict[str, Any] = {}
    for row in index.table.sort("video_id", "frame", "path", maintain_order=True).to_dicts():
        if row["frame"] is None or row["split"] is None:
            raise DatasetError(
                f"{row['video_id']} has no {'frame' if row['frame'] is None else 'split'}; the "
                "exchange format needs it.",
                "Prepare videos with `unmask prepare` first; give rows a split with a protocol.",
            )
        label = _label_string(row, table)
        if used.setdefault(label, row["label"]) != row["label"]:
            raise DatasetError(f"The label string {label!r} would stand for reals and fakes.")
        dataset = _COMMON.get(row["dataset"], row["dataset"])
        node = tree.setdefault(dataset, {}).setdefault(label, {})
        node = node.setdefault(row["split"], {})
        node = node.setdefault(row["compression"], {}) if row["compression"] else node
        entry = node.setdefault(_name(row, label), {"label": label, "frames": []})
        entry["frames"].append(_path(index, row["path"], path))
        for key, column in (("masks", "mask_path"), ("landmarks", "landmarks_path")):
            if row[column] is not None:
                entry.setdefault(key, []).append(_path(index, row[column], path))
    for target, value in ((path, tree), (_labels_file(path), dict(sorted(used.items())))):
        replace_text(target, json.dumps(value, indent=1))
    return used


def _videos(path: Path) -> Iterator[_Video]:
    """All entries of the file."""
    for dataset, labelled in read_json(path).items():
        for label, by_split in _object(labelled, path, dataset).items():
            for split, node in _object(by_split, path, dataset, label).items():
                if split not in SPLITS:
                    raise DatasetError(
                        f"{path}: {dataset}/{label} has the split {split!r}; expected one of "
                        f"{', '.join(SPLITS)}."
                    )
                node = _object(node, path, dataset, label, split)
                for name, entry in _entries(node):
                    inside = _object(entry, path, dataset, label, split, name)
                    if _is_video(inside):
                        yield _video(path, dataset, split, "", name, inside)
                        continue
                    for video, value in inside.items():
                        yield _video(path, dataset, split, name, video, value)


def _entries(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The videos or compression levels of a split.

    Common files of DFDC hold one video's keys directly in val, beside named videos: it is named by
    the folder of its frames.
    """
    if _is_video(node):
        frames = node["frames"]
        name = PurePosixPath(_slashes(str(frames[0]))).parent.name if frames else "unnamed"
        yield name, {"label": node["label"], "frames": frames}
    yield from (
        (k, v) for k, v in node.items() if not (k in ("label", "frames") and _is_video(node))
    )


def _is_video(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("frames"), list) and "label" in value


def _object(value: Any, path: Path, *where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DatasetError(
            f"{path}: {'/'.join(where)} must be an object; got a {type(value).__name__}.",
            f"Expected:\n{_EXPECTED}",
        )
    return value


def _video(path: Path, dataset: str, split: str, compression: str, name: str, value: Any) -> _Video:
    where = (dataset, split, *([compression] if compression else []), name)
    entry = _object(value, path, *where)
    lists = {}
    for key in ("frames", "masks", "landmarks"):
        paths = entry.get(key, None if key == "frames" else [])
        if not isinstance(paths, list) or not all(isinstance(p, str) and p for p in paths):
            raise DatasetError(f"{path}: {'/'.join(where)} has no list of {key}.")
        lists[key] = tuple(_slashes(p) for p in paths)
    dataset = DATASETS.get(dataset, dataset)
    return _Video(dataset, str(entry.get("label")), split, compression, name, **lists)


def _unique(videos: list[_Video], table: Mapping[str, int], path: Path) -> list[_Video]:
    """Each video once, in the split that binds most; label strings checked."""
    unknown = sorted({video.label for video in videos} - set(table))
    if unknown:
        raise DatasetError(
            f"{path}: whether {', '.join(map(repr, unknown))} is real or fake is not known.",
            f"Say so in {_labels_file(path).name} beside it, as {{{json.dumps(unknown[0])}: 1}} (0 "
            "real, 1 fake).",
        )
    kept: dict[tuple[str, str, str, str], _Video] = {}
    for video in videos:
        key = (video.dataset, video.label, video.compression, video.name)
        if key not in kept or _CERTAIN[video.split] > _CERTAIN[kept[key].split]:
            kept[key] = video
    return [video for video in kept.values() if video.frames]


def _rows(video: _Video, label: int, several: bool, places: _Places) -> Iterator[Row]:
    manipulation = MANIPULATIONS.get(video.label, video.label) if label else ""
    name = f"{video.label}/{video.name}" if several and not label else video.name
    shared = {
        "video_id": video_id(video.dataset, manipulation, video.compression, name),
        "label": label,
        "dataset": video.dataset,
        "manipulation": manipulation,
        "compression": video.compression,
        "source": video.dataset if label else video.label,
        "identities": _people(video),
        "split": video.split,
    }
    masks, landmarks = _by_stem(video.masks), _by_stem(video.landmarks)
    for number, frame in numbered([Path(p) for p in dict.fromkeys(video.frames)]):
        yield {
            **shared,
            "frame": number,
            "path": places.of(frame.as_posix()),
            "mask_path": places.beside(frame, "masks", masks),
            "landmarks_path": places.beside(frame, "landmarks", landmarks),
            "codec": still_codec(frame),
        }


def _people(video: _Video) -> list[str]:
    """Who is in it, as far as its name tells."""
    stem = video.name.rpartition("/")[2]
    for pattern in _PEOPLE.get(video.dataset, ()):
        match = re.fullmatch(pattern, stem)
        if match:
            return list(dict.fromkeys(name for name in match.groups() if name))
    return []


class _Places:
    """Where the paths of a JSON lie on this machine.

    Attributes:
        found: whether any file was there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found = False
        self._cut = 0
        self._names: dict[Path, frozenset[str]] = {}

    def of(self, text: str) -> str:
        """A listed path as the index holds it: below the root, its foreign beginning cut off."""
        parts = [p for p in PurePosixPath(text).parts if p not in ("/", "..")]
        if PurePosixPath(text).is_absolute() and self.there(Path(text)):
            return relative(Path(text), self.root)
        # what worked last time works again; the video's folder always stays
        for cut in (self._cut, *range(len(parts) - 1)):
            if self.there(self.root.joinpath(*parts[cut:])):
                self._cut = cut
                break
        return "/".join(parts[self._cut :] or parts)

    def there(self, path: Path) -> bool:
        """Whether a file exists; each folder is listed once, for there may be a million files."""
        if path.parent not in self._names:
            try:
                self._names[path.parent] = frozenset(os.listdir(path.parent))
            except OSError:
                self._names[path.parent] = frozenset()
        exists = path.name in self._names[path.parent]
        self.found = self.found or exists
        return exists

    def beside(self, frame: Path, kind: str, listed: Mapping[str, str]) -> str | None:
        """A frame's mask or landmarks: as listed, else where the format puts them, else none."""
        if frame.stem in listed:
            return self.of(listed[frame.stem])
        parts = list(PurePosixPath(self.of(frame.as_posix())).parts)
        if "frames" not in parts:
            return None
        parts[len(parts) - 1 - parts[::-1].index("frames")] = kind
        suffix = ".npy" if kind == "landmarks" else frame.suffix
        path = self.root.joinpath(*parts).with_suffix(suffix)
        return relative(path, self.root) if self.there(path) else None


def _by_stem(paths: tuple[str, ...]) -> dict[str, str]:
    return {PurePosixPath(path).stem: path for path in paths}


def _slashes(text: str) -> str:
    return text.replace("\\", "/")


def _labels_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}.labels.json")


def _beside(path: Path) -> dict[str, int]:
    """The label table that lies beside a JSON, if one does."""
    file = _labels_file(path)
    if not file.is_file():
        return {}
    table = read_json(file)
    if not all(value in (0, 1) for value in table.values()):
        raise DatasetError(f"{file} must map label strings to 0 (real) or 1 (fake).")
    return {label: int(value) for label, value in table.items()}


def _label_string(row: Row, table: Mapping[str, int]) -> str:
    if row["label"]:
        return str(_STRINGS.get(row["manipulation"], row["manipulation"]))
    return str(row["source"]) if table.get(row["source"]) == 0 else f"{row['dataset']}_real"


def _name(row: Row, label: str) -> str:
    """The video's name in the JSON: its id without what the JSON's keys say already."""
    start = video_id(row["dataset"], row["manipulation"], row["compression"], "")
    name = str(row["video_id"]).removeprefix(start)
    return name.removeprefix(f"{label}/") if not row["label"] else name


def _path(index: Index, path: str, target: Path) -> str:
    return relative(index.file(path), target.parent)
