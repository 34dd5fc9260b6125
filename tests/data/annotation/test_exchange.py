"""Masks out and in: as PNG beside the pictures, as COCO JSON, and from the data set itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.data.annotation.coco import coco_document, read_coco, write_coco
from unmask.data.annotation.exchange import (
    Outcome,
    oracle_answers,
    read_folder,
    take,
    to_hand_out,
    write_folder,
)
from unmask.data.annotation.pictures import Picture, read_pictures
from unmask.data.annotation.queue import extended, read_queue, standing_refusals, write_queue
from unmask.data.annotation.rle import encode_rle
from unmask.data.annotation.store import Annotations, MaskStore
from unmask.errors import DatasetError


def save(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask.astype(np.uint8) * 255)


def imported(folder: Path, answers: Any, name: str = "anna", **more: Any) -> Outcome:
    with MaskStore(folder) as store:
        return take(store, answers, annotator=name, source="imported", **more)


@pytest.fixture
def store(tmp_path: Path, pictures: list[Picture]) -> Path:
    """A store with all four pictures in its queue, b/2.png first."""
    folder = tmp_path / "store"
    folder.mkdir()
    write_queue(folder, extended([], "random", [(p, None) for p in reversed(pictures)]))
    return folder


def export(store: Path, out: Path, pictures: list[Picture], which: Any = "open") -> list[Picture]:
    chosen, lost = to_hand_out(store, pictures, which)
    assert not lost
    write_folder(out, Annotations(store), chosen, pictures)
    return chosen


def test_handed_out_painted_and_taken_in(
    tmp_path: Path, store: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    out = tmp_path / "out"
    assert export(store, out, pictures) == pictures[::-1]
    for picture in pictures:
        assert (out / "pictures" / picture.path).read_bytes() == picture.file.read_bytes()
    assert not list((out / "masks").rglob("*.png"))
    save(out / "masks/a/0.png", square)
    save(out / "masks/b/0.png", ~square)
    done = imported(store, read_folder(out, pictures))
    assert (done.taken, done.unchanged, done.refused) == (2, 0, [])
    answers = Annotations(store)
    for picture, mask in ((pictures[0], square), (pictures[2], ~square)):
        record = answers.latest(picture.sha256)
        assert record is not None
        assert (record.picture, record.annotator, record.source) == (
            picture.path,
            "anna",
            "imported",
        )
        np.testing.assert_array_equal(answers.mask(record), mask)
    assert [e.state for e in read_queue(store)] == ["open", "mask", "open", "mask"]
    assert to_hand_out(store, pictures, "open")[0] == [pictures[3], pictures[1]]


def test_the_same_again_changes_nothing(
    tmp_path: Path, store: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    save(tmp_path / "masks/a/0.png", square)
    assert imported(store, read_folder(tmp_path / "masks", pictures)).taken == 1
    done = imported(store, read_folder(tmp_path / "masks", pictures), "ben")
    assert (done.taken, done.unchanged) == (0, 1)
    export(store, tmp_path / "out", pictures, "all")
    done = imported(store, read_folder(tmp_path / "out", pictures), "ben")
    assert (done.taken, done.unchanged) == (0, 1)
    assert len(Annotations(store).history(pictures[0].sha256)) == 1


def test_an_answer_to_an_older_revision_is_refused_unless_it_is_ones_own(
    tmp_path: Path, store: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    for name in ("anna", "ben"):
        export(store, tmp_path / name, pictures)
    save(tmp_path / "anna/masks/a/0.png", square)
    save(tmp_path / "ben/masks/a/0.png", ~square)
    assert imported(store, read_folder(tmp_path / "anna", pictures), "anna").taken == 1
    done = imported(store, read_folder(tmp_path / "ben", pictures), "ben")
    assert (done.taken, len(done.refused)) == (0, 1)
    assert "anna changed it at" in done.refused[0].reason
    save(tmp_path / "anna/masks/a/0.png", square | True)
    assert imported(store, read_folder(tmp_path / "anna", pictures), "anna").taken == 1
    assert Annotations(store).revision(pictures[0].sha256) == 2


def test_each_bad_mask_is_refused_with_its_reason_and_the_others_go_on(
    tmp_path: Path, store: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    masks = tmp_path / "masks"
    save(masks / "a/0.png", square.T)
    save(masks / "a/1.png", square & False)
    save(masks / "b/0.png", square)
    save(masks / "b/7.png", square)
    cv2.imwrite(str(masks / "b/2.png"), np.arange(96, dtype=np.uint8).reshape(8, 12))
    done = imported(store, read_folder(masks, pictures))
    assert done.taken == 1
    assert [(Path(r.file).name, r.reason) for r in done.refused] == [
        ("0.png", "The mask a/0.png has 8x12 pixels, its picture 12x8."),
        ("1.png", "a/1.png: the mask is empty, it marks no pixel as manipulated."),
        ("2.png", "The mask b/2.png has 96 grey levels (0, 1, 2, 3, ...); a mask has only 0 and "
         "255."),
        ("7.png", "No picture is called b/7."),
    ]  # fmt: skip
    assert standing_refusals(store, Annotations(store)) == done.refused


def test_an_empty_mask_may_be_said_to_mean_no_forgery(
    tmp_path: Path, store: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    save(tmp_path / "masks/a/1.png", square & False)
    assert imported(store, read_folder(tmp_path / "masks", pictures), empty="no_forgery").taken == 1
    latest = Annotations(store).latest(pictures[1].sha256)
    assert latest is not None
    assert latest.kind == "no_forgery"


def test_a_mask_painted_on_another_picture_is_refused(
    tmp_path: Path, store: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    export(store, tmp_path / "out", pictures)
    save(tmp_path / "out/masks/a/0.png", square)
    pictures[0].file.write_bytes(pictures[1].file.read_bytes())
    now = read_pictures(tmp_path / "in")
    done = imported(store, read_folder(tmp_path / "out", now))
    assert "a/0.png: the mask was painted on another picture" in done.refused[0].reason
    chosen, lost = to_hand_out(store, now, "open")
    assert len(chosen) == 3
    assert lost == ["a/0.png has changed since it was selected"]


def test_what_is_gone_is_told(store: Path, pictures: list[Picture]) -> None:
    pictures[3].file.unlink()
    chosen, lost = to_hand_out(store, pictures[1:], "all")
    assert chosen == [pictures[2], pictures[1]]
    assert lost == ["b/2.png is gone", "a/0.png is no longer among the pictures"]


def test_an_export_overwrites_nothing(tmp_path: Path, store: Path, pictures: list[Picture]) -> None:
    save(tmp_path / "out/masks/mine.png", np.ones((2, 2), bool))
    with pytest.raises(DatasetError, match="is not an empty folder"):
        export(store, tmp_path / "out", pictures)
    (tmp_path / "c.json").write_text("mine")
    with pytest.raises(DatasetError, match="exists already"):
        write_coco(tmp_path / "c.json", Annotations(store), pictures)


def test_a_folder_without_masks_is_no_import(tmp_path: Path, pictures: list[Picture]) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        read_folder(tmp_path / "none", pictures)
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="no PNG files"):
        read_folder(tmp_path / "out", pictures)
    save(tmp_path / "out/a.png", np.ones((2, 2), bool))
    (tmp_path / "out/export.jsonl").write_text("{}\n")
    with pytest.raises(DatasetError, match=r"export\.jsonl is damaged"):
        read_folder(tmp_path / "out", pictures)


def test_the_oracle_answers_from_the_index(tmp_path: Path, index: Path) -> None:
    pictures = read_pictures(index)
    with MaskStore(tmp_path / "s") as store:
        done = take(store, oracle_answers(pictures), annotator="oracle", source="oracle")
    assert (done.taken, [r.reason for r in done.refused]) == (
        4,
        ["2.png has no mask in the index."],
    )
    answers = Annotations(tmp_path / "s")
    kinds = [a.kind for a in answers.all()]
    assert kinds == ["mask", "mask", "mask", "no_forgery"]
    assert {(a.annotator, a.source) for a in answers.all()} == {("oracle", "oracle")}
    expected = np.zeros((8, 12), bool)
    expected[1:4, 2:6] = True
    np.testing.assert_array_equal(answers.mask(answers.all()[1]), expected)


def test_a_real_takes_no_mask(tmp_path: Path, index: Path, square: np.ndarray) -> None:
    save(tmp_path / "masks/4.png", square)
    done = imported(tmp_path / "s", read_folder(tmp_path / "masks", read_pictures(index)))
    assert "4.png is real in the index" in done.refused[0].reason


@pytest.fixture
def answered(store: Path, pictures: list[Picture], square: np.ndarray) -> Path:
    """a/0 has a mask, a/1 none to have, b/0 was skipped, b/2 is open."""
    said: dict[str, Any] = {"revision": 0, "annotator": "anna", "source": "painted"}
    with MaskStore(store) as kept:
        kept.add(pictures[0], square, **said)
        kept.answer(pictures[1], "no_forgery", **said)
        kept.answer(pictures[2], "skipped", **said)
    return store


def test_coco_out_and_in_is_exact(
    tmp_path: Path, answered: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    path = tmp_path / "coco.json"
    write_coco(path, Annotations(answered), pictures)
    document = json.loads(path.read_text())
    assert [(i["id"], i["file_name"], i["width"], i["height"]) for i in document["images"]] == [
        (n, p.path, 12, 8) for n, p in enumerate(pictures, 1)
    ]
    (mark,) = document["annotations"]
    assert (mark["image_id"], mark["area"], mark["bbox"]) == (1, 18, [3, 2, 6, 3])
    assert (mark["category_id"], mark["iscrowd"]) == (1, 1)
    assert mark["segmentation"] == encode_rle(square)
    assert [c["name"] for c in document["categories"]] == ["manipulated"]

    assert imported(tmp_path / "other", read_coco(path, pictures), "ben").taken == 3
    copy, first = Annotations(tmp_path / "other"), Annotations(answered)
    assert [a.kind for a in copy.all()] == ["mask", "no_forgery", "skipped"]
    assert [a.sha256 for a in copy.all()] == [a.sha256 for a in first.all()]
    np.testing.assert_array_equal(copy.mask(copy.all()[0]), square)


def foreign(*marks: dict[str, Any], categories: tuple[str, ...] = ("face",)) -> dict[str, Any]:
    """As another program would write it: bare names, nothing of ours."""
    return {
        "images": [{"id": "x", "file_name": "2.png"}, {"id": 7, "file_name": "a/1.jpg"}],
        "annotations": [{"category_id": 0, **mark} for mark in marks],
        "categories": [{"id": n, "name": name} for n, name in enumerate(categories)],
    }


def test_coco_of_another_program_is_taken(
    tmp_path: Path, store: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    corner = np.zeros_like(square)
    corner[:2, :2] = True
    document = foreign(
        {"image_id": "x", "segmentation": encode_rle(square, packed=False)},
        {"image_id": "x", "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]},
        {"image_id": "x", "segmentation": encode_rle(~square), "category_id": 1},
        categories=("manipulated", "face"),
    )
    (tmp_path / "c.json").write_text(json.dumps(document))
    assert imported(store, read_coco(tmp_path / "c.json", pictures)).taken == 1
    answers = Annotations(store)
    (record,) = answers.all()
    assert record.picture == "b/2.png"
    np.testing.assert_array_equal(answers.mask(record), square | corner)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ({"segmentation": encode_rle(np.ones((12, 8), bool))}, "has 8x12 pixels, its picture 12x8"),
        ({"segmentation": {"size": [8, 12], "counts": [9]}}, "its runs cover 9 pixels"),
        ({"segmentation": []}, "no RLE"),
        ({"segmentation": [[0, 0, 1, 1]]}, "needs three or more points"),
        ({"segmentation": encode_rle(np.zeros((8, 12), bool))}, "the mask is empty"),
    ],
)
def test_a_bad_mark_is_refused_with_its_reason(
    tmp_path: Path, store: Path, pictures: list[Picture], mark: dict[str, Any], message: str
) -> None:
    (tmp_path / "c.json").write_text(json.dumps(foreign({"image_id": 7, **mark})))
    done = imported(store, read_coco(tmp_path / "c.json", pictures))
    assert (done.taken, len(done.refused)) == (0, 1)
    assert message in done.refused[0].reason
    assert done.refused[0].picture == "a/1.png"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "images must be a list of objects with id and file_name"),
        ({"annotations": [{}]}, "annotations must be a list of objects with image_id"),
        ({"annotations": [{"image_id": 9}]}, "of the image 9, which is not listed"),
        ({"images": [{"id": 1, "file_name": "a"}] * 2}, "two images have the same id"),
        ({"images": [{"id": 1, "file_name": 2}]}, "file_name must be a text"),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]},
            r"2 categories \(a, b\)",
        ),
    ],
)
def test_what_is_no_coco_file_is_refused(
    tmp_path: Path, pictures: list[Picture], change: dict[str, Any], message: str
) -> None:
    (tmp_path / "c.json").write_text(json.dumps(foreign() | change))
    with pytest.raises(DatasetError, match=message):
        read_coco(tmp_path / "c.json", pictures)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path / "bad.json"):
        (tmp_path / "bad.json").write_text("{")
        with pytest.raises(DatasetError, match="cannot be read as JSON"):
            read_coco(path, [])


def test_an_open_picture_is_in_the_file_without_a_mark(
    answered: Path, pictures: list[Picture]
) -> None:
    document = coco_document(Annotations(answered), pictures[3:])
    assert document["annotations"] == []
    assert document["images"][0]["unmask"] == {
        "sha256": pictures[3].sha256,
        "revision": 0,
        "kind": "open",
    }
