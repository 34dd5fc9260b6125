"""Celeb-DF v1, v2 and Celeb-DF++: celebrities' videos, swaps of them, and one list of test videos.

Sources: Y. Li et al., "Celeb-DF: A Large-scale Challenging Dataset for DeepFake Forensics", CVPR
2020 (v1: 795 fakes, v2: 5639); Y. Li et al., "Celeb-DF++: A Large-scale Challenging Video DeepFake
Benchmark for Generalizable Forensics", 2025 (22 methods).

In List_of_testing_videos.txt **1 means real**. Here, as everywhere in this package, 1 is fake: the
label comes from the folder a video lies in, and the list must agree with it once turned round.

Only test videos have an official split; `split` is null for all others, not `train`: celebrities
of the test list also occur outside it, so what is left is no training set for that test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from unmask.data.index import Index, index_of, relative, video_id
from unmask.data.readers.layout import files, mismatch, text_lines
from unmask.errors import DatasetError

_LIST = "List_of_testing_videos.txt"
_REALS = ("Celeb-real", "YouTube-real")
_FAKES = "Celeb-synthesis"
_SCENARIOS = ("FaceSwap", "FaceReenact", "TalkingFace")
_VIDEO = frozenset({".mp4"})
_TITLES = {"celebdf-v1": "Celeb-DF v1", "celebdf-v2": "Celeb-DF v2", "celebdf-pp": "Celeb-DF++"}
_EXPECTED = """Celeb-real/id0_0000.mp4
YouTube-real/00000.mp4
Celeb-synthesis/id0_id1_0000.mp4
List_of_testing_videos.txt   1 YouTube-real/00170.mp4    (1 = real, 0 = fake)"""
_EXPECTED_PP = """Celeb-real/id0_0000.mp4
YouTube-real/00000.mp4
Celeb-synthesis/
  FaceSwap/{Celeb-DF,BlendFace,SimSwap,...}/id0_id1_0000.mp4
  FaceReenact/{DaGAN,LIA,LivePortrait,...}/id0_id1_0000.mp4
  TalkingFace/{EchoMimic,SadTalker,...}/id0_*.mp4
List_of_testing_videos.txt   1 YouTube-real/00170.mp4    (1 = real, 0 = fake)"""


def read_v1(root: Path) -> Index:
    """Celeb-DF v1, or any part of it; see `read_v2`."""
    return _read(root, "celebdf-v1")


def read_v2(root: Path) -> Index:
    """Celeb-DF v2, or any part of it.

    All of it is 590 + 300 reals and 5639 fakes, with 518 test videos, 178 of them real; counts are
    not enforced, as many keep only the test videos. A fake `id0_id1_0000` shows target id0 with the
    face of source id1: both are its identities. Who is in YouTube-real is not known: no identities.
    Videos may also lie in a `videos` folder below each folder.

    Raises:
        DatasetError: another layout, no reals or no fakes, a name that is not an id, no test list,
            a damaged one, one whose label contradicts the folder, or none of its videos is there.
    """
    return _read(root, "celebdf-v2")


def read_pp(root: Path) -> Index:
    """Celeb-DF++: the reals of v2, and fakes by scenario and method; see `read_v2`.

    `manipulation` is the method's folder; methods are not enforced, scenarios are. The tree is the
    one of the data set's README (sure). The names inside it are not published: that they start
    with the target's id, then the source's where there is one, follows v2 and what others report
    of their copies (fairly sure), so only the first is required. The driving voice of a talking
    face is not in the picture and no identity.

    Raises:
        DatasetError: as `read_v2`.
    """
    return _read(root, "celebdf-pp")


def _read(root: Path, name: str) -> Index:
    for folder in (*_REALS, _FAKES):
        if not (root / folder).is_dir():
            raise _wrong(root, name, f"there is no {folder}/")
    rows = [row for folder in _REALS for row in _reals(root, name, folder)]
    if not rows:
        raise _wrong(root, name, "it holds no real videos")
    fakes = list(_scenario_fakes(root, name) if name == "celebdf-pp" else _fakes(root, name))
    if not fakes:
        raise _wrong(root, name, "it holds no fakes")
    tested = _test_list(root, name)
    rows += fakes
    for row in rows:
        row["split"] = "test" if _listed(row["path"]) in tested else None
    if not any(row["split"] for row in rows):
        raise DatasetError(
            f"None of the {len(tested)} videos of {root / _LIST} is in {root}.",
            "Each version has its own list: take the one that came with these videos.",
        )
    return index_of(root, rows)


def _reals(root: Path, name: str, folder: str) -> Iterator[dict[str, Any]]:
    # who is in YouTube-real is not known, so its pattern has no group
    pattern = r"(id\d+)_\d+" if folder == "Celeb-real" else r"\d+"
    for path in _videos(root, name, root / folder, pattern):
        match = re.fullmatch(pattern, path.stem)
        yield {
            "video_id": video_id(name, "", "", f"{folder}/{path.stem}"),
            "path": relative(path, root),
            "label": 0,
            "dataset": name,
            "source": folder,
            "identities": list(match.groups()) if match else [],
        }


def _fakes(root: Path, name: str) -> Iterator[dict[str, Any]]:
    pattern = r"(id\d+)_(id\d+)_\d+"
    for path in _videos(root, name, root / _FAKES, pattern):
        yield _fake(root, name, path, _FAKES, path.stem)


def _scenario_fakes(root: Path, name: str) -> Iterator[dict[str, Any]]:
    for scenario in sorted(e for e in (root / _FAKES).iterdir() if not e.name.startswith(".")):
        if scenario.name not in _SCENARIOS:
            problem = f"{_FAKES}/{scenario.name} is none of {', '.join(_SCENARIOS)}"
            raise _wrong(root, name, problem)
        for method in sorted(e for e in scenario.iterdir() if not e.name.startswith(".")):
            if not method.is_dir():
                raise _wrong(root, name, f"{relative(method, root)} is in no method's folder")
            for path in _videos(root, name, method, r"id\d+_.+"):
                yield _fake(root, name, path, method.name, f"{scenario.name}/{path.stem}")


def _fake(root: Path, name: str, path: Path, manipulation: str, stem: str) -> dict[str, Any]:
    people = re.match(r"(id\d+)(?:_(id\d+))?_", path.stem)
    return {
        "video_id": video_id(name, manipulation, "", stem),
        "path": relative(path, root),
        "label": 1,
        "dataset": name,
        "manipulation": manipulation,
        "source": "Celeb-real",
        "identities": [person for person in people.groups() if person] if people else [],
    }


def _videos(root: Path, name: str, folder: Path, pattern: str) -> list[Path]:
    """The videos of a folder, all of which must be named by the pattern and lie right in it."""
    inner = folder / "videos"
    folder = inner if inner.is_dir() else folder
    found = files(folder, _VIDEO)
    for path in found:
        if path.parent != folder:
            raise _wrong(root, name, f"{relative(path, root)} lies too deep")
        if not re.fullmatch(pattern, path.stem):
            raise _wrong(root, name, f"{relative(path, root)} is not named as the others")
    return found


def _listed(path: str) -> str:
    """A path as the test list writes it: without the `videos` folder some copies have."""
    return "/".join(part for part in PurePosixPath(path).parts if part != "videos")


def _test_list(root: Path, name: str) -> set[str]:
    """Paths of the test videos; their labels are only checked, the folder tells the same.

    Raises:
        DatasetError: not there, not `<label> <path>`, or a label that contradicts the folder.
    """
    path = root / _LIST
    if not path.is_file():
        raise _wrong(root, name, f"there is no {_LIST}, which comes with the videos")
    tested = set()
    for number, line in text_lines(path):
        label, _, video = line.partition(" ")
        listed = _listed(video.strip().replace("\\", "/"))
        folder = listed.partition("/")[0]
        if label not in ("0", "1") or folder not in (*_REALS, _FAKES):
            raise DatasetError(
                f"{path}:{number} must be 1 or 0 and a path, e.g. '1 YouTube-real/00170.mp4'; got "
                f"{line!r}."
            )
        if (label == "1") != (folder in _REALS):
            raise DatasetError(
                f"{path}:{number} says {label} for a video of {folder}/; in this list 1 means real "
                "and 0 fake.",
                "Restore the list as it was given out; do not turn its labels round.",
            )
        tested.add(listed)
    if not tested:
        raise DatasetError(f"{path} lists no videos.")
    return tested


def _wrong(root: Path, name: str, problem: str) -> DatasetError:
    expected = _EXPECTED_PP if name == "celebdf-pp" else _EXPECTED
    return mismatch(_TITLES[name], root, expected, problem)
