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
