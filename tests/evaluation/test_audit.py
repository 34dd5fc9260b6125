"""The audit finds planted leaks, names them, and lets a clean set pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from unmask.data.index import Index, index_of
from unmask.data.protocols.normalise import Normalise
from unmask.errors import DatasetError
from unmask.evaluation.audit import Audit, CueReport, audit, files_to_audit
from unmask.evaluation.cues import CUES, SEEN
from unmask.transforms.perturb import gaussian_blur, jpeg
from unmask.types import UInt8Image

FACES = Path(__file__).parents[1] / "data"
PEOPLE = 30
Write = Callable[[Path, UInt8Image, int, int], Path]
"""(path without suffix, picture, label, number of the person) -> the file that was written."""


@pytest.fixture(scope="module")
def faces() -> list[UInt8Image]:
    """Windows of 96 pixels from reduced portraits, so that no grid of their own is left."""
    found = []
    for name in ("london_006_03.jpg", "london_024_03.jpg", "congress_A000055.jpg"):
        picture = cv2.imread(str(FACES / name))[..., ::-1]
        scale = 240 / min(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        places = [(x, y) for y in range(0, 144, 40) for x in range(0, 144, 48)]
        found += [np.ascontiguousarray(small[y : y + 96, x : x + 96]) for x, y in places]
    return found[:PEOPLE]


def as_jpeg(path: Path, image: UInt8Image, quality: int = 90) -> Path:
    path = path.with_suffix(".jpg")
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def as_png(path: Path, image: UInt8Image) -> Path:
    path = path.with_suffix(".png")
    cv2.imwrite(str(path), image[..., ::-1])
    return path


def made(
    root: Path, faces: list[UInt8Image], write: Write, kinds: tuple[str, ...] = ("x",)
) -> Index:
    """Each face as it is, and of every kind a softened one; both go through `write`."""
    rows: list[dict[str, Any]] = []
    for number, face in enumerate(faces):
        for kind in ("", *kinds):
            image = gaussian_blur(face, 0.6) if kind else face
            (root / (kind or "real")).mkdir(parents=True, exist_ok=True)
            path = write(root / (kind or "real") / f"{number}", image, int(kind != ""), number)
            rows.append(
                {
                    "video_id": f"home/{kind or 'real'}/raw/{number}",
                    "path": str(path.relative_to(root)),
                    "label": int(kind != ""),
                    "dataset": "home",
                    "manipulation": kind,
                    "source": "studio",
                    "identities": [str(number)],
                }
            )
    return index_of(root, rows)


def overall(found: Audit) -> dict[str, CueReport]:
    return {cue.cue: cue for cue in found.cues if cue.manipulation is None}


def leaking(found: Audit) -> set[str]:
    return {cue.cue for cue in found.leaks}


def test_a_clean_set_passes(tmp_path: Path, faces: list[UInt8Image]) -> None:
    # the same random quality and size for both halves of a pair
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        side = 80 + 4 * (number % 4)
        return as_jpeg(path, image[:side, :side], 80 + number % 15)

    found = audit(made(tmp_path, faces, write), "home", draws=100)
    assert not found.leaks
    cues = overall(found)
    assert list(cues) == list(CUES)
    for cue in cues.values():
        if cue.kind == "container" and cue.separation is not None:
            assert cue.separation <= 0.06, cue
    assert cues["jpeg_quality"].values == 15
    assert cues["width"].auc is not None
    assert cues["width"].auc.value == 0.5
    # a fake has the size of its real, and neither speaks against the other
    assert cues["width"].held_out is not None
    assert cues["width"].held_out.value == 0.5
    # a softened face is told by its softness: reported, and no leak
    blur = cues["blur"]
    assert (blur.kind, blur.leaks) == ("content", False)
    assert blur.separation is not None
    assert blur.separation > 0.06
    assert (found.items, found.measured, found.reals, found.fakes) == (60, 60, 30, 30)
    assert found.few


def test_a_planted_quality_is_caught(tmp_path: Path, faces: list[UInt8Image]) -> None:
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_jpeg(path, image, 75 if label else 95)

    found = audit(made(tmp_path, faces, write), "home", draws=100)
    assert "jpeg_quality" in leaking(found)
    assert leaking(found) <= {"jpeg_quality", "grid_phase"}
    cue = overall(found)["jpeg_quality"]
    assert (cue.usual_real, cue.usual_fake) == ("95", "75")
    assert cue.auc is not None
    assert (cue.auc.value, cue.auc.low, cue.auc.high) == (0.0, 0.0, 0.0)
    assert cue.held_out is not None
    assert cue.held_out.value == 1.0
    assert cue.separation == 0.5
    assert cue.telling is not None
    assert cue.telling.in_reals != cue.telling.in_fakes


def test_a_quality_between_those_of_the_reals_is_caught(
    tmp_path: Path, faces: list[UInt8Image]
) -> None:
    # ranking alone sees nothing: the fakes' quality lies in the middle
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_jpeg(path, image, 85 if label else (75, 95)[number % 2])

    cue = overall(audit(made(tmp_path, faces, write), "home", draws=100))["jpeg_quality"]
    assert cue.auc is not None
    assert cue.auc.value == 0.5
    assert cue.leaks


def test_a_planted_file_type_is_caught(tmp_path: Path, faces: list[UInt8Image]) -> None:
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_png(path, image) if label else as_jpeg(path, image)

    found = audit(made(tmp_path, faces, write), "home", draws=100)
    assert {"format", "header", "structure", "jpeg_quality", "subsampling"} <= leaking(found)
    assert not leaking(found) & {"width", "height", "aspect", "exif"}


def test_a_planted_shift_of_the_grid_is_caught(tmp_path: Path, faces: list[UInt8Image]) -> None:
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_png(path, jpeg(image, 70, phase=(3, 5) if label else (0, 0)))

    found = audit(made(tmp_path, faces, write), "home", draws=100)
    assert leaking(found) == {"grid_phase"}
    cue = overall(found)["grid_phase"]
    assert (cue.usual_real, cue.usual_fake) == ("0,0", "3,5")


@pytest.mark.parametrize(
    ("cue", "options"),
    [
        ("comment", {"comment": b"made by me"}),
        ("icc", {"icc_profile": b"p" * 200}),
        ("structure", {"progressive": True}),
        ("subsampling", {"subsampling": 0}),
    ],
)
def test_planted_metadata_is_caught(
    cue: str, options: dict[str, Any], tmp_path: Path, faces: list[UInt8Image]
) -> None:
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        path = path.with_suffix(".jpg")
        Image.fromarray(image).save(path, quality=85, **(options if label else {}))
        return path

    assert cue in leaking(audit(made(tmp_path, faces[:12], write), "home", draws=100))


def test_a_planted_size_is_caught(tmp_path: Path, faces: list[UInt8Image]) -> None:
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_png(path, image[:, :88] if label else image)

    assert leaking(audit(made(tmp_path, faces, write), "home", draws=100)) == {"width", "aspect"}


def test_columns_of_the_index_and_crop_boxes_are_cues(
    tmp_path: Path, faces: list[UInt8Image]
) -> None:
    index = made(tmp_path, faces[:12], lambda path, image, *_: as_png(path, image))
    rows = index.table.to_dicts()
    for row in rows:
        row["codec"] = ("h264", "hevc")[row["label"]]
        row["quality"] = 23
        row["compression"] = ("c0", "c23")[row["label"]]
        row["box"] = [8 + 3 * row["label"], 16, 90, 90]
    found = audit(index_of(tmp_path, rows), "home", draws=100)
    assert leaking(found) == {"codec", "compression", "crop_phase"}


def test_one_manipulation_that_leaks_is_named(tmp_path: Path, faces: list[UInt8Image]) -> None:
    kinds = tuple("abcdefghij")

    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_jpeg(path, image[:64, :64], 70 if path.parent.name == "d" else 90)

    found = audit(made(tmp_path, faces[:20], write, kinds), "home", draws=100)
    assert overall(found)["jpeg_quality"].leaks is False
    assert {(cue.cue, cue.manipulation) for cue in found.leaks} == {("jpeg_quality", "d")}


def test_reals_of_other_sources_are_not_beside_a_manipulation(
    tmp_path: Path, faces: list[UInt8Image]
) -> None:
    # two sources of different size, each with its own fakes: no manipulation differs from its reals
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_png(path, image)

    rows = []
    for source, side in (("studio", 96), ("street", 64)):
        part = made(tmp_path / source, [f[:side, :side] for f in faces[:12]], write, (source,))
        for row in part.table.to_dicts():
            row["video_id"] += source
            rows.append(row | {"source": source, "path": f"{source}/{row['path']}"})
    found = audit(index_of(tmp_path, rows), "home", draws=100)
    assert not found.leaks
    by_kind = {cue.manipulation: cue for cue in found.cues if cue.cue == "width"}
    assert {(k, c.reals, c.fakes, c.values) for k, c in by_kind.items()} == {
        (None, 24, 24, 2),
        ("studio", 12, 12, 1),
        ("street", 12, 12, 1),
    }


def test_chance_does_not_make_a_small_set_with_many_values_leak(
    tmp_path: Path, faces: list[UInt8Image]
) -> None:
    # almost every picture has a shape of its own: in-sample the value tells the class
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        path = path.with_suffix(".png")
        side = 40 + 2 * ((number * 7 + label * 13) % 28)
        Image.fromarray(image[:side, : side - number % 5]).save(path)
        return path

    cue = overall(audit(made(tmp_path, faces, write), "home", draws=100))["aspect"]
    assert cue.values > 30
    assert cue.held_out is not None
    assert 0.38 < cue.held_out.value < 0.62


def test_auc_agrees_with_scikit_learn(tmp_path: Path, faces: list[UInt8Image]) -> None:
    index = made(tmp_path, faces[:12], lambda path, image, *_: as_png(path, image))
    cue = overall(audit(index, "home", draws=100))["bytes_per_pixel"]
    sizes = [index.file(path).stat().st_size for path in index.table["path"]]
    assert cue.auc is not None
    assert cue.auc.value == pytest.approx(roc_auc_score(index.table["label"], sizes), abs=1e-9)
    assert cue.auc.low <= cue.auc.value <= cue.auc.high


def test_what_cannot_be_read_is_listed_and_counted(tmp_path: Path, faces: list[UInt8Image]) -> None:
    index = made(tmp_path, faces[:6], lambda path, image, *_: as_png(path, image))
    index.file("x/2.png").write_bytes(b"junk")
    index.file("real/3.png").unlink()
    found = audit(index, "home", draws=100)
    assert [(item.path, item.reason) for item in found.unreadable] == [
        ("x/2.png", "unsupported_format"),
        ("real/3.png", "missing"),
    ]
    assert (found.items, found.measured, found.reals, found.fakes) == (12, 10, 5, 5)
    for number in range(5):
        index.file(f"x/{number}.png").unlink()
    gone = audit(index, "home", draws=100)
    assert (gone.cues, gone.leaks, gone.fakes, len(gone.unreadable)) == ([], [], 1, 6)


def test_a_normalising_step_is_audited_after_it(tmp_path: Path, faces: list[UInt8Image]) -> None:
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_jpeg(path, image, 75) if label else as_png(path, image)

    index = made(tmp_path, faces, write)
    assert audit(index, "home", draws=100).leaks
    step = Normalise(side=64, jpeg_quality=(60, 70))
    found = audit(index, "home", draws=100, normalise=step)
    assert [cue.cue for cue in found.cues] == list(SEEN)
    assert found.normalised
    small = audit(index, "home", draws=100, normalise=Normalise(side=512))
    assert {item.reason for item in small.unreadable} == {"too_small"}


def test_a_sample_is_of_every_kind_and_always_the_same(
    tmp_path: Path, faces: list[UInt8Image]
) -> None:
    index = made(tmp_path, faces[:10], lambda path, image, *_: as_png(path, image), ("x", "y"))
    chosen = files_to_audit(index, 4)
    counts = chosen.group_by("manipulation").len().sort("manipulation")
    assert counts.rows() == [("", 4), ("x", 4), ("y", 4)]
    assert len({tuple(names) for names in chosen["identities"]}) == 4  # the same people in each
    assert chosen.equals(files_to_audit(Index(tmp_path, index.table), 4))
    ticks: list[int] = []
    found = audit(index, "home", draws=100, sample=4, advance=lambda: ticks.append(1))
    assert (found.items, found.measured, found.sample, len(ticks)) == (30, 12, 4, 12)


def test_frames_of_one_file_are_measured_once(tmp_path: Path, faces: list[UInt8Image]) -> None:
    index = made(tmp_path, faces[:3], lambda path, image, *_: as_png(path, image))
    rows = [row | {"frame": n} for row in index.table.to_dicts() for n in range(5)]
    found = audit(index_of(tmp_path, rows), "home", draws=100)
    assert (found.items, found.measured) == (30, 6)


def test_one_class_is_refused(tmp_path: Path, faces: list[UInt8Image]) -> None:
    index = made(tmp_path, faces[:3], lambda path, image, *_: as_png(path, image))
    rows = [row for row in index.table.to_dicts() if row["label"] == 0]
    with pytest.raises(DatasetError, match="it has 3 real and 0 fake"):
        audit(index_of(tmp_path, rows), "home")


def test_a_past_jpeg_of_one_class_is_pointed_out(tmp_path: Path, faces: list[UInt8Image]) -> None:
    # nothing of the file tells; only the blocks in the pixels of the reals do
    def write(path: Path, image: UInt8Image, label: int, number: int) -> Path:
        return as_png(path, image if label else jpeg(image, 60))

    found = audit(made(tmp_path, faces, write), "home", draws=100)
    assert not found.leaks
    (history,) = found.histories
    assert history.auc is not None
    assert history.auc.high < 0.44
    assert not audit(made(tmp_path / "b", faces, lambda p, i, *_: as_png(p, i)), "b").histories


def test_a_sample_takes_every_video_before_a_second_frame(tmp_path: Path) -> None:
    rows = [
        {
            "video_id": f"home/real/raw/{video}",
            "frame": frame,
            "path": f"{video}/{frame}.png",
            "label": 0,
            "dataset": "home",
            "source": "s",
            "identities": [str(video)],
        }
        for video in range(8)
        for frame in range(5)
    ]
    chosen = files_to_audit(index_of(tmp_path, rows), 8)
    assert chosen["video_id"].n_unique() == chosen.height == 8
    assert files_to_audit(index_of(tmp_path, rows), 12).height == 12
