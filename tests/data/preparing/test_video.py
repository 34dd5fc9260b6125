"""One video to crops: which face, what travels with it, and a reason for whatever is missing.

The detector of these tests finds red squares, so that every box is known.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.data.index import index_of
from unmask.data.preparing.coverage import REASONS, Tally
from unmask.data.preparing.journal import RETRIED, Record
from unmask.data.preparing.profile import Profile
from unmask.data.preparing.run import units_of
from unmask.data.preparing.video import VideoMaker
from unmask.errors import CheckpointError
from unmask.faces import FIVE_POINTS
from unmask.media import Failure, Media, try_decode
from unmask.results import REASONS as MEDIA_REASONS
from unmask.types import Face, UInt8Image

SIZE = (160, 120)


class RedSquares:
    """Every red region is a face; a region taller than wide is no upright one."""

    def detect(self, image: UInt8Image) -> list[Face]:
        red = (image[..., 0] > 150) & (image[..., 1] < 100) & (image[..., 2] < 100)
        count, _, stats, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
        boxes = [stats[i, :4] for i in range(1, count) if stats[i, 4] > 60]
        faces = [face_at(x, y, x + w, y + h) for x, y, w, h in boxes if h <= 1.5 * w]
        return sorted(faces, key=lambda face: -face.side)


def face_at(x0: float, y0: float, x1: float, y1: float, turns: int = 0) -> Face:
    points = FIVE_POINTS * (x1 - x0, y1 - y0) + (x0, y0)
    return Face((x0, y0, x1, y1), points.astype(np.float32), 0.999, quarter_turns=turns)


def picture(*boxes: tuple[int, int, int, int], colour: Any = (220, 20, 20)) -> UInt8Image:
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = colour
    return image


def mask_of(*boxes: tuple[int, int, int, int]) -> UInt8Image:
    return picture(*boxes, colour=255)


def save(path: Path, image: UInt8Image) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path.name


def decode(paths: Sequence[str], max_frames: int) -> Generator[Media | Failure]:
    for path in paths:
        yield try_decode(path, max_frames=max_frames)


Make = Callable[..., Record]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make({column: value, ...}, ..., frames=4)`: the record of one video_id with these rows."""

    def run(*rows: dict[str, Any], detector: Any = None, label: int = 1, **settings: Any) -> Record:
        shared = {
            "video_id": "d/m/raw/v",
            "label": label,
            "dataset": "d",
            "source": "s",
            "identities": [],
            "manipulation": "m" if label else "",
        }
        index = index_of(tmp_path, [{**shared, **row} for row in rows])
        (unit,) = units_of(index)
        profile = Profile(**{"frames": 4, **settings})
        out = tmp_path / "out"
        return VideoMaker(tmp_path, out, profile, decode, detector or RedSquares()).make(unit)

    return run


def counted(record: Record) -> Tally:
    tally = Tally()
    tally.add(record)
    assert tally.asked == tally.frames + sum(tally.lost.values()), "a frame without a word"
    assert tally.read <= tally.asked
    return tally


def stored(tmp_path: Path, path: str | None) -> UInt8Image:
    assert path is not None
    image = cv2.imread(str(tmp_path / "out" / path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image[..., ::-1] if image.ndim == 3 else image


LARGE, SMALL = (10, 30, 60, 80), (100, 40, 130, 70)


def test_frames_are_spread_and_crops_are_the_pixels(make, tmp_path, write_clip):
    write_clip(tmp_path / "v.mp4", [picture((10 + i, 30, 60 + i, 80)) for i in range(16)])
    record = make({"path": "v.mp4"}, label=0)
    frames = {frame.index: frame for frame in try_decode(tmp_path / "v.mp4", max_frames=16).frames}
    assert [crop.frame for crop in record.crops] == [2, 6, 10, 14]
    for crop in record.crops:
        x0, y0, x1, y1 = crop.box
        assert x1 - x0 == y1 - y0 == 65  # 1.3 x 50
        assert abs((x0 + x1) / 2 - (35 + crop.frame)) <= 1
        inside = frames[crop.frame].image[max(y0, 0) : y1, max(x0, 0) : x1]
        np.testing.assert_array_equal(
            stored(tmp_path, crop.path)[max(-y0, 0) :, max(-x0, 0) :], inside
        )
    assert (record.asked, record.read, record.notes) == (4, 4, ())
    assert counted(record).crops == 4


def test_the_mask_finds_the_face_that_was_swapped(make, tmp_path, write_clip):
    write_clip(tmp_path / "v.mp4", [picture(LARGE, SMALL)] * 8)
    write_clip(tmp_path / "m.mp4", [mask_of(SMALL)] * 8, qp=0)
    row = {"path": "v.mp4", "mask_path": "m.mp4"}
    guided = make(row, face="mask")
    assert len(guided.crops) == 4
    for crop in guided.crops:
        assert abs(crop.box[0] - 95) <= 1  # 1.3 x the small square, around it
        x0, y0, _, _ = crop.box
        expected = np.zeros((crop.box[3] - y0,) * 2, np.uint8)
        expected[40 - y0 : 70 - y0, 100 - x0 : 130 - x0] = 255
        np.testing.assert_array_equal(stored(tmp_path, crop.mask_path), expected)
    # the largest face is the wrong one, and its mask shows it: never a real labelled fake
    wrong = make(row)
    assert (len(wrong.crops), counted(wrong).lost) == (0, {"mask_elsewhere": 4})
    assert not list((tmp_path / "out" / "masks").rglob("*.png"))
    # a real of the same scene has nothing to go by and takes the largest
    real = make({"path": "v.mp4"}, label=0, face="mask")
    assert [abs(crop.box[0] - 2) <= 1 for crop in real.crops] == [True] * 4
    both = make({"path": "v.mp4"}, label=0, face="all")
    assert len(both.crops) == 8
    assert counted(both).frames == 4
    assert len({crop.path for crop in both.crops}) == 8


def test_a_turned_still_is_cut_upright_with_its_landmarks(make, tmp_path):
    class Sideways(RedSquares):
        """Sees the square only where the blue stripe on it is at the top."""

        def detect(self, image: UInt8Image) -> list[Face]:
            blue = np.argwhere(image[..., 2] > 150)
            upright = len(blue) and np.ptp(blue[:, 0]) < np.ptp(blue[:, 1])
            found = super().detect(image)
            return [f for f in found if upright and blue[:, 0].max() <= f.box[1]]

    image = picture((60, 40, 100, 80))
    image[40:80, 50:60] = (0, 0, 200)  # on the left: a clockwise turn brings it to the top
    record = make({"path": save(tmp_path / "a.png", image)}, label=0, detector=Sideways())
    (crop,) = record.crops
    stripe = np.argwhere(stored(tmp_path, crop.path)[..., 2] > 150)
    assert np.ptp(stripe[:, 0]) < np.ptp(stripe[:, 1]), "the crop is not upright"
    points = np.array(crop.landmarks).reshape(5, 2) / (crop.box[2] - crop.box[0])
    assert points[0, 0] < points[1, 0]
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()


def test_stills_of_a_sequence_are_spread_in_order(make, tmp_path):
    rows = [
        {"path": save(tmp_path / f"{n}.png", picture((10 + n, 30, 60 + n, 80))), "frame": n}
        for n in (30, 0, 10, 20, 40, 50, 60, 70)
    ]
    record = make(*rows, label=0)
    assert [crop.frame for crop in record.crops] == [10, 30, 50, 70]
    assert [rows[crop.row]["path"] for crop in record.crops] == [
        f"{n}.png" for n in (10, 30, 50, 70)
    ]
    assert (record.asked, record.read) == (4, 4)


def test_every_frame_without_a_crop_has_its_reason(make, tmp_path, write_clip):
    pictures = [picture(LARGE)] * 3 + [picture()] + [picture(SMALL)] + [picture(LARGE)] * 3
    masks = [mask_of(LARGE)] * 2 + [mask_of()] + [mask_of(LARGE)] * 4 + [mask_of((140, 0, 160, 20))]
    write_clip(tmp_path / "v.mp4", pictures)
    write_clip(tmp_path / "m.mp4", masks, qp=0)
    record = make({"path": "v.mp4", "mask_path": "m.mp4"}, frames=8)
    assert [crop.frame for crop in record.crops] == [0, 1, 5, 6]
    assert [(note.frame, note.reason) for note in record.notes] == [
        (2, "mask_empty"),
        (3, "no_face"),
        (4, "face_not_tracked"),
        (7, "mask_elsewhere"),
    ]
    assert {note.path for note in record.notes} == {"v.mp4"}
    assert counted(record).lost.total() == 4


@pytest.mark.parametrize(("rule", "lost"), [("largest", False), ("mask", True)])
def test_a_mask_that_does_not_fit_is_told(make, tmp_path, write_clip, rule, lost):
    write_clip(tmp_path / "v.mp4", [picture(LARGE)] * 8)
    write_clip(tmp_path / "short.mp4", [mask_of(LARGE)] * 5, qp=0)
    save(tmp_path / "other.png", np.full((60, 80, 3), 255, np.uint8))
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    for mask, reason, count in [
        ("short.mp4", "mask_frame_missing", 2),
        ("other.png", "mask_size", 4),
        ("broken.mp4", "mask_unreadable", 4),
        ("gone.mp4", "mask_unreadable", 4),
    ]:
        record = make({"path": "v.mp4", "mask_path": mask}, face=rule)
        assert [(note.reason, note.lost) for note in record.notes] == [(reason, lost)] * count
        assert len(record.crops) == (4 - count if lost else 4)
        assert sum(crop.mask_path is None for crop in record.crops) == (0 if lost else count)
        counted(record)


def test_a_longer_mask_goes_by_frame_number(make, tmp_path, write_clip):
    boxes = [(10, 30, 60, 40 + 2 * i) for i in range(12)]
    write_clip(tmp_path / "v.mp4", [picture(LARGE)] * 8)
    write_clip(tmp_path / "m.mp4", [mask_of(box) for box in boxes], qp=0)
    record = make({"path": "v.mp4", "mask_path": "m.mp4"})
    assert [crop.frame for crop in record.crops] == [1, 3, 5, 7]
    for crop in record.crops:
        rows = np.flatnonzero((stored(tmp_path, crop.mask_path) > 0).any(axis=1)) + crop.box[1]
        assert (rows[0], rows[-1] + 1) == (30, boxes[crop.frame][3])


def test_a_mask_at_another_rate_is_no_mask(make, tmp_path, write_clip):
    # twice the frames in the same time: those of equal number are not of the same moment
    write_clip(tmp_path / "v.mp4", [picture(LARGE)] * 8, rate=25)
    write_clip(tmp_path / "m.mp4", [mask_of(LARGE)] * 16, qp=0, rate=50)
    record = make({"path": "v.mp4", "mask_path": "m.mp4"})
    # the first frame asked for, number 1, is 20 ms apart: within half a frame
    assert [(note.frame, note.reason) for note in record.notes] == [
        (number, "mask_out_of_step") for number in (3, 5, 7)
    ]


def test_a_picture_is_the_mask_of_every_frame(make, tmp_path, write_clip):
    write_clip(tmp_path / "v.mp4", [picture(LARGE)] * 8)
    grey = mask_of(LARGE)
    grey[30:80, 10:30], grey[30:80, 30:60] = 127, 128
    save(tmp_path / "m.png", grey)
    record = make({"path": "v.mp4", "mask_path": "m.png"})
    for crop in record.crops:
        columns = np.flatnonzero((stored(tmp_path, crop.mask_path) > 0).any(axis=0)) + crop.box[0]
        assert (columns[0], columns[-1] + 1) == (30, 60), "True is above 127"
    wider = make({"path": "v.mp4", "mask_path": "m.png"}, mask_threshold=126)
    assert (stored(tmp_path, wider.crops[0].mask_path) > 0).sum() == 50 * 50


def test_inputs_that_cannot_be_decoded_keep_the_decoders_reason(make, tmp_path, write_clip):
    (tmp_path / "v.mp4").write_bytes(b"no clip")
    record = make({"path": "v.mp4"})
    assert [(note.frame, note.reason, note.frames) for note in record.notes] == [
        (None, "unsupported_format", 4)
    ]
    assert (counted(record).without_crops, record.final) == (1, True)
    gone = make({"path": "a.png", "frame": 0}, {"path": "b.png", "frame": 1})
    assert [(note.frame, note.path, note.reason) for note in gone.notes] == [
        (0, "a.png", "missing"),
        (1, "b.png", "missing"),
    ]
    assert counted(gone).asked == 2
    assert not gone.final
    write_clip(tmp_path / "w.mp4", [picture(LARGE)] * 8)
    named = make({"path": "w.mp4", "frame": 3})
    assert counted(named).lost == {"frame_of_video": 1}


def test_a_clip_that_ends_early_says_how_many_frames_are_missing(make, tmp_path, write_clip):
    rng = np.random.default_rng(0)
    noisy = [
        np.maximum(picture(LARGE), rng.integers(0, 90, (120, 160, 3), np.uint8)) for _ in "1" * 12
    ]
    whole = write_clip(tmp_path / "v.mkv", noisy).read_bytes()
    (tmp_path / "v.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    record = make({"path": "v.mkv"}, label=0, frames=6)
    tally = counted(record)
    assert tally.lost["truncated"] > 0
    assert tally.crops > 0


@pytest.mark.parametrize("way", ["numbers", "file"])
def test_a_stills_own_landmarks_move_with_it(make, tmp_path, way):
    own = np.array([[20, 40], [50, 40], [35, 55], [25, 70], [45, 70], [35, 30]], np.float32)
    row: dict[str, Any] = {"path": save(tmp_path / "a.png", picture(LARGE, SMALL)), "frame": 0}
    np.save(tmp_path / "a.npy", own)
    row |= {"landmarks_path": "a.npy"} if way == "file" else {"landmarks": own.ravel().tolist()}
    record = make(row, label=0)
    (crop,) = record.crops
    np.testing.assert_array_equal(
        np.array(crop.landmarks).reshape(-1, 2), own - np.array(crop.box[:2])
    )
    assert record.notes == ()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((5, 2), 115.0), "landmarks_elsewhere"),
        (np.zeros((5, 3)), "landmarks_unreadable"),
        (np.full((5, 2), np.nan), "landmarks_unreadable"),
        (np.array([{}]), "landmarks_unreadable"),
        (None, "landmarks_unreadable"),
    ],
)
def test_landmarks_that_do_not_fit_are_told_and_the_detectors_kept(make, tmp_path, values, reason):
    if values is not None:
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
    name = save(tmp_path / "a.png", picture(LARGE, SMALL))
    record = make({"path": name, "frame": 0, "landmarks_path": "a.npy"}, label=0)
    (crop,) = record.crops
    assert [(note.reason, note.lost) for note in record.notes] == [(reason, False)]
    np.testing.assert_allclose(
        np.array(crop.landmarks).reshape(5, 2) + crop.box[:2], face_at(*LARGE).landmarks, atol=1e-4
    )
    assert counted(record).lacking == {reason: 1}


class Faulty(RedSquares):
    def __init__(self, error: BaseException) -> None:
        self.error, self.calls = error, 0

    def detect(self, image: UInt8Image) -> list[Face]:
        self.calls += 1
        if self.calls > 1:
            raise self.error
        return super().detect(image)


@pytest.mark.parametrize(
    ("error", "reason"), [(KeyError("odd"), "internal_error"), (MemoryError(), "out_of_memory")]
)
def test_a_fault_costs_one_unit_and_leaves_nothing_of_it(make, tmp_path, error, reason):
    rows = [{"path": save(tmp_path / f"{n}.png", picture(LARGE))} for n in range(2)]
    record = make(*rows, label=0, detector=Faulty(error))
    assert record.crops == ()
    assert counted(record).lost.keys() == {reason}
    assert not record.final
    assert not list((tmp_path / "out").rglob("*.png"))


def test_what_would_fail_for_every_video_is_raised(make, tmp_path):
    rows = [{"path": save(tmp_path / f"{n}.png", picture(LARGE))} for n in range(2)]
    with pytest.raises(CheckpointError):
        make(*rows, label=0, detector=Faulty(CheckpointError("damaged")))
    with pytest.raises(OSError, match="No space"):
        make(*rows, label=0, detector=Faulty(OSError(28, "No space left on device")))


def test_rows_that_share_a_frame_number_do_not_overwrite_each_other(make, tmp_path):
    rows = [{"path": save(tmp_path / f"{n}.png", picture(LARGE))} for n in range(3)]
    record = make(*rows, label=0)
    assert len({crop.path for crop in record.crops}) == 3
    assert {crop.frame for crop in record.crops} == {0}


def test_every_reason_has_a_meaning():
    assert set(REASONS) >= RETRIED
    assert {r: m for r, m in REASONS.items() if r in MEDIA_REASONS}.items() <= MEDIA_REASONS.items()
