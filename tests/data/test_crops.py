"""Face crops of an index: detected once, kept bit for bit, landmarks in the crop's own pixels."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.data import crops as module
from unmask.data.annotation.masks import mask_to_png
from unmask.data.crops import prepare_crops
from unmask.data.items import Item
from unmask.data.protocols.normalise import Normalise
from unmask.errors import DatasetError
from unmask.faces import MTCNNDetector, crop_face, find_faces
from unmask.media import decode

DATA = Path(__file__).parent
NAMES = ("london_006_03.jpg", "congress_A000055.jpg")


def item(path: Path, **changes: object) -> Item:
    values = {"label": 0, "source": "s", "generator": "", "identity": path.stem, "split": "train"}
    return Item(path=path, **{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    paths = [Path(shutil.copy(DATA / name, tmp_path)) for name in NAMES]
    turned = tmp_path / "turned.png"
    cv2.imwrite(str(turned), np.ascontiguousarray(np.rot90(cv2.imread(str(paths[0])), 3)))
    flat = tmp_path / "flat.png"
    cv2.imwrite(str(flat), np.full((80, 80, 3), 128, np.uint8))
    good = [item(paths[0]), item(paths[1], split="val")]
    return [*good, item(flat), item(tmp_path / "gone.jpg"), item(turned)]


def test_crops_are_the_scanners_crops(items: list[Item], tmp_path: Path) -> None:
    done: list[int] = []
    crops = prepare_crops(items, tmp_path / "cache", progress=done.append)
    assert done == [1, 2, 3, 4, 5]
    assert crops.items == [items[0], items[1]]
    assert crops.dropped == {"no_face": 1, "missing": 1, "rotated": 1}
    assert len(crops) == 2
    for index, kept in enumerate(crops.items):
        frame = decode(kept.path).frames[0]
        expected = crop_face(frame, find_faces(frame, MTCNNDetector())[0])
        np.testing.assert_array_equal(crops.image(index), expected.image)
    assert crops.where(lambda i: i.split == "val") == [1]


def test_landmarks_lie_in_the_crops_own_pixels(items: list[Item], tmp_path: Path) -> None:
    crops = prepare_crops(items, tmp_path / "cache")
    for index in range(len(crops)):
        side, points = crops.image(index).shape[0], crops.landmarks[index]
        # eyes above, mouth below, left before right: as in every upright face
        np.testing.assert_allclose(
            points / side,
            [[0.37, 0.42], [0.63, 0.42], [0.5, 0.57], [0.38, 0.69], [0.62, 0.69]],
            atol=0.1,
        )


def test_a_second_run_reads_what_the_first_kept(
    items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_crops(items, tmp_path / "cache")
    monkeypatch.setattr(module, "MTCNNDetector", lambda: pytest.fail("looked for faces again"))
    again = prepare_crops(items, tmp_path / "cache")
    assert again.items == first.items
    np.testing.assert_array_equal(again.landmarks, first.landmarks)
    np.testing.assert_array_equal(again.image(1), first.image(1))
    assert not again.image(0).flags.writeable


def test_a_changed_index_or_file_is_prepared_anew(items: list[Item], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare_crops(items[:1], cache)
    prepare_crops([item(items[0].path, split="val")], cache)
    shutil.copy(items[1].path, items[0].path)
    prepare_crops(items[:1], cache)
    assert len(list(cache.glob("*.json"))) == 3


def test_an_interrupted_run_starts_again(items: list[Item], tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_crops(items[:1], tmp_path / "cache", progress=stop)
    assert len(prepare_crops(items[:1], tmp_path / "cache")) == 1


def test_an_index_without_faces_is_refused(items: list[Item], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"No face in any of 2 pictures: .*no_face.*missing"):
        prepare_crops(items[2:4], tmp_path / "cache")


POINTS = (40.0, 45.0, 70.0, 46.0, 55.0, 62.0, 42.0, 75.5, 68.0, 76.0)


@pytest.fixture
def given(tmp_path: Path) -> Item:
    """A crop as `unmask prepare` makes it, of a picture in which no face would be found."""
    noise = np.random.default_rng(0).integers(0, 256, (110, 110, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "crop.png"), noise)
    return item(tmp_path / "crop.png", box=(5, -3, 115, 107), landmarks=POINTS)


def test_a_prepared_crop_is_taken_as_it_is(
    given: Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MTCNNDetector", lambda: pytest.fail("looked for faces"))
    crops = prepare_crops([given, item(tmp_path / "no.png", box=(0, 0, 9, 9))], tmp_path / "cache")
    assert crops.items == [given]
    assert crops.dropped == {"missing": 1}
    np.testing.assert_array_equal(crops.image(0), cv2.imread(str(given.path))[..., ::-1])
    np.testing.assert_array_equal(crops.landmarks[0], np.reshape(POINTS, (5, 2)))


def test_prepared_crops_and_pictures_may_stand_side_by_side(
    given: Item, items: list[Item], tmp_path: Path
) -> None:
    crops = prepare_crops([items[0], given, items[2], items[1]], tmp_path / "cache")
    assert crops.items == [items[0], given, items[1]]
    assert crops.image(1).shape == (110, 110, 3)
    frame = decode(items[1].path).frames[0]
    expected = crop_face(frame, find_faces(frame, MTCNNDetector())[0])
    np.testing.assert_array_equal(crops.image(2), expected.image)


def test_a_crop_that_is_not_square_is_refused(given: Item, tmp_path: Path) -> None:
    cv2.imwrite(str(given.path), np.zeros((60, 50, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"(?s)crop\.png is 50x60.*`unmask prepare`"):
        prepare_crops([given], tmp_path / "cache")


def test_the_landmarks_of_a_crop_are_part_of_its_key(given: Item, tmp_path: Path) -> None:
    moved = item(given.path, box=given.box, landmarks=(41.0, *POINTS[1:]))
    keys = {prepare_crops([one], tmp_path / "cache").key for one in (given, moved)}
    assert len(keys) == 2


def test_keys_of_pictures_are_what_they_were_before_there_were_crops(tmp_path: Path) -> None:
    # a literal: statistics that took hours lie under such keys (made before Item had a box)
    path = tmp_path / "a" / "1.png"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    assert module._key([item(path), item(tmp_path / "a" / "gone.png")]) == "2483673dc854d139"


def test_frames_of_a_video_go_through_one_step_wherever_they_lie(tmp_path: Path) -> None:
    step, points = Normalise(side=64), tuple(float(v) for v in range(30, 40))
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    found = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        given = []
        for name in ("000000.png", "000001.png"):
            assert cv2.imwrite(str(tmp_path / place / name), noise)
            box = {"box": (0, 0, 80, 80), "landmarks": points, "video_id": "d/m/c23/a"}
            given.append(item(tmp_path / place / name, **box))
        crops = prepare_crops(given, tmp_path / f"cache {place}", normalise=step)
        found += [crops.image(0), crops.image(1)]
    for image in found:
        np.testing.assert_array_equal(image, step.apply(noise[..., ::-1].copy(), "d/m/c23/a"))
    other = [item(i.path, box=i.box, landmarks=i.landmarks, video_id="d/m/c23/b") for i in given]
    apart = prepare_crops(other, tmp_path / "cache there", normalise=step)
    np.testing.assert_array_equal(apart.image(0), step.apply(noise[..., ::-1].copy(), "d/m/c23/b"))
    assert (
        prepare_crops(other, tmp_path / "plain").key == prepare_crops(given, tmp_path / "plain").key
    )


def dotted(path: Path, side: int, points: list[tuple[int, int]]) -> Item:
    """A grey crop with a bright dot, 5 pixels wide, at each landmark."""
    image = np.full((side, side, 3), 60, np.uint8)
    for x, y in points:
        image[y - 2 : y + 3, x - 2 : x + 3] = 250
    cv2.imwrite(str(path), image)
    flat = tuple(float(v) for point in points for v in point)
    return item(path, box=(0, 0, side, side), landmarks=flat)


DOTS = [(50, 60), (90, 61), (70, 75), (55, 95), (88, 94)]


@pytest.mark.parametrize(
    ("size", "side", "moved"),
    [
        ("window", 96, lambda v: v - 26),  # (149 - 96) // 2
        ("scale", 96, lambda v: v * 96 / 149),
        ("scale", 192, lambda v: v * 192 / 149),
    ],
)
def test_landmarks_go_along_with_a_protocols_step(
    tmp_path: Path, size: str, side: int, moved: Callable[[float], float]
) -> None:
    step = Normalise.model_validate({"size": size, "side": side, "jpeg_quality": (95, 95)})
    one = dotted(tmp_path / "a.png", 149, DOTS)
    crops = prepare_crops([one], tmp_path / "cache", normalise=step)
    image, points = crops.image(0), crops.landmarks[0]
    assert image.shape == (side, side, 3)
    np.testing.assert_allclose(points, [[moved(x), moved(y)] for x, y in DOTS], atol=1e-4)
    np.testing.assert_array_equal(image, step.apply(crop_of(one), one.path.as_posix()))
    for x, y in points:  # the dot's weighted middle is where its landmark says
        near = image[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6].mean(2) - 60.0
        near = np.clip(near, 20, None) - 20
        rows, columns = np.mgrid[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6]
        assert np.average(columns, weights=near) == pytest.approx(x, abs=0.7)
        assert np.average(rows, weights=near) == pytest.approx(y, abs=0.7)


def crop_of(one: Item) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(one.path))[..., ::-1])


def test_a_crop_smaller_than_the_window_is_dropped_with_its_reason(tmp_path: Path) -> None:
    step = Normalise(size="window", side=128)
    items = [dotted(tmp_path / f"{side}.png", side, DOTS) for side in (127, 128, 149)]
    crops = prepare_crops(items, tmp_path / "cache", normalise=step)
    assert crops.items == items[1:]
    assert crops.dropped == {"smaller_than_window": 1}
    assert {crops.image(index).shape for index in range(2)} == {(128, 128, 3)}


def test_crops_of_another_step_are_others(tmp_path: Path) -> None:
    one = [dotted(tmp_path / "a.png", 149, DOTS)]
    steps = (None, Normalise(side=96), Normalise(side=96, seed=1))
    keys = {prepare_crops(one, tmp_path / "cache", normalise=step).key for step in steps}
    assert len(keys) == 3


def test_a_killed_write_leaves_nothing_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = [dotted(tmp_path / "a.png", 149, DOTS)]

    def stop(self: Path, target: object) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare_crops(one, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.json"))
    assert len(prepare_crops(one, tmp_path / "cache")) == 1


def test_the_pixels_are_an_ordinary_array_file(items: list[Item], tmp_path: Path) -> None:
    crops = prepare_crops(items, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.npy")
    whole = io.BytesIO()
    np.save(whole, np.concatenate([crops.image(i).ravel() for i in range(len(crops))]))
    assert path.read_bytes() == whole.getvalue()
    assert {p.suffix for p in (tmp_path / "cache").iterdir()} == {".npy", ".json"}


def test_what_is_stopped_leaves_no_array(items: list[Item], tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_crops(items, tmp_path / "cache", progress=stop)
    assert {p.suffix for p in (tmp_path / "cache").iterdir()} == {".part"}
    assert len(prepare_crops(items, tmp_path / "cache")) == 2


def masked(given: Item, mask: np.ndarray) -> Item:
    path = given.path.with_name("mask.png")
    path.write_bytes(mask_to_png(mask))
    return replace(given, mask=path)


def test_a_mask_is_cut_like_its_crop(given: Item, tmp_path: Path) -> None:
    mask = np.random.default_rng(1).random((110, 110)) < 0.5
    one = masked(given, mask)
    plain = prepare_crops([one], tmp_path / "cache")
    np.testing.assert_array_equal(plain.mask(0), mask)
    step = Normalise(side=64)
    window = prepare_crops([one], tmp_path / "cache", normalise=step)
    np.testing.assert_array_equal(window.mask(0), mask[23:87, 23:87])
    assert prepare_crops([given], tmp_path / "cache").mask(0) is None


def test_a_mask_is_no_part_of_the_key(given: Item) -> None:
    one = masked(given, np.ones((110, 110), bool))
    for step in (None, Normalise(side=64)):
        assert module._key([one], step) == module._key([given], step)


def test_masks_that_do_not_fit_are_refused(given: Item, items: list[Item], tmp_path: Path) -> None:
    def mask_of(one: Item) -> None:
        prepare_crops([one], tmp_path / "cache").mask(0)

    with pytest.raises(DatasetError, match="90x110 pixels, its picture 110x110"):
        mask_of(masked(given, np.ones((110, 90), bool)))
    found = item(items[0].path, mask=given.path)
    with pytest.raises(DatasetError, match=r"(?s)is not a face crop.*`unmask prepare`"):
        mask_of(found)
    with pytest.raises(DatasetError, match=r"gone\.png cannot be read"):
        mask_of(replace(given, mask=tmp_path / "gone.png"))


def test_a_part_shows_the_same_pictures_and_shares_their_digest(
    items: list[Item], tmp_path: Path
) -> None:
    crops = prepare_crops(items, tmp_path / "cache")
    part = crops.only(lambda i: i.split == "val")
    assert part.items == [items[1]]
    np.testing.assert_array_equal(part.image(0), crops.image(1))
    np.testing.assert_array_equal(part.landmarks[0], crops.landmarks[1])
    assert part.key != crops.key
    assert part.digest([0]) == crops.digest([1]) != crops.digest([0])
    again = part.only(lambda i: True)
    assert again.digest([0]) == crops.digest([1])
    np.testing.assert_array_equal(again.image(0), crops.image(1))
    with pytest.raises(DatasetError, match="Nothing is left"):
        crops.only(lambda i: i.split == "test")
