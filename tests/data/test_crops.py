"""Face crops of an index: detected once, kept bit for bit, landmarks in the crop's own pixels."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.data import crops as module
from unmask.data.crops import prepare_crops
from unmask.data.items import Item
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
