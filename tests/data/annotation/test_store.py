"""The mask store: what it keeps, whom it believes, and what a kill leaves behind."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.store import LOG_FILE, Annotations, ConflictError, MaskStore
from unmask.errors import ConfigError, DatasetError, ShapeError

ANNA: dict[str, Any] = {"annotator": "anna", "source": "painted"}
BEN: dict[str, Any] = {"annotator": "ben", "source": "imported"}


def test_a_mask_is_kept_with_who_when_and_of_what(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    picture, before = pictures[0], datetime.now(UTC)
    with MaskStore(tmp_path / "s") as store:
        record = store.add(picture, square, revision=0, **ANNA, note="hair")
    assert record.sha256 == hashlib.sha256(picture.file.read_bytes()).hexdigest()
    assert (record.picture, record.width, record.height) == ("a/0.png", 12, 8)
    assert (record.annotator, record.source, record.kind) == ("anna", "painted", "mask")
    assert (record.revision, record.note) == (1, "hair")
    assert before <= record.time <= datetime.now(UTC)
    read = Annotations(tmp_path / "s")
    assert read.latest(picture.sha256) == record
    np.testing.assert_array_equal(read.mask(record), square)
    assert (len(read), read.latest(pictures[1].sha256)) == (1, None)


def test_the_latest_counts_and_the_history_stays(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    picture = pictures[0]
    with MaskStore(tmp_path) as store:
        first = store.add(picture, square, revision=0, **ANNA)
        second = store.add(picture, ~square, revision=1, **BEN)
        third = store.answer(picture, "no_forgery", revision=2, **ANNA)
        other = store.answer(pictures[1], "skipped", revision=0, **ANNA, note="too dark")
    read = Annotations(tmp_path)
    assert read.history(picture.sha256) == [first, second, third]
    assert read.all() == [third, other]
    assert read.revision(picture.sha256) == 3
    np.testing.assert_array_equal(read.mask(first), square)
    np.testing.assert_array_equal(read.mask(second), ~square)
    assert read.mask(third).shape == square.shape
    assert not read.mask(third).any()
    with pytest.raises(DatasetError, match=r"a/1\.png was skipped by anna"):
        read.mask(other)


def test_a_later_answer_of_somebody_else_is_a_conflict(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    picture = pictures[0]
    with MaskStore(tmp_path) as store:
        theirs = store.add(picture, square, revision=0, **BEN)
        before = (tmp_path / LOG_FILE).read_bytes()
        told = rf"ben changed it at {theirs.time:%Y-%m-%d %H:%M:%S} UTC \(revision 1\)"
        with pytest.raises(ConflictError, match=told) as caught:
            store.add(picture, ~square, revision=0, **ANNA)
        assert caught.value.latest == theirs
        with pytest.raises(ConflictError):
            store.answer(picture, "no_forgery", revision=2, **ANNA)
        assert (tmp_path / LOG_FILE).read_bytes() == before
        np.testing.assert_array_equal(store.mask(theirs), square)
        with pytest.raises(DatasetError, match="there is no revision 1"):
            store.add(pictures[1], square, revision=1, **ANNA)


def test_of_two_at_once_one_wins(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    def paint(name: str) -> bool:
        try:
            store.add(pictures[0], square, revision=0, annotator=name, source="painted")
        except ConflictError:
            return False
        return True

    with MaskStore(tmp_path) as store, ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(paint, "abcdefgh")) == 1
    assert len(Annotations(tmp_path).history(pictures[0].sha256)) == 1


def test_a_picture_is_known_by_its_bytes(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    copy = tmp_path / "elsewhere.png"
    copy.write_bytes(pictures[0].file.read_bytes())
    with MaskStore(tmp_path / "s") as store:
        record = store.add(pictures[0], square, revision=0, **ANNA)
        assert store.matching([copy, pictures[1].file]) == {copy: record}
        with pytest.raises(DatasetError, match="painted on another picture"):
            store.add(pictures[1], square, revision=0, **ANNA, painted_on=pictures[0].sha256)
        with pytest.raises(DatasetError, match="painted on another picture"):
            store.answer(pictures[1], "skipped", revision=0, **ANNA, painted_on=pictures[0].sha256)
    assert len(Annotations(tmp_path / "s")) == 1


def test_masks_that_cannot_be_right_are_refused(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    with MaskStore(tmp_path / "s") as store:
        with pytest.raises(DatasetError, match="mask has 8x12 pixels, the picture 12x8"):
            store.add(pictures[0], square.T, revision=0, **ANNA)
        with pytest.raises(DatasetError, match="the mask is empty"):
            store.add(pictures[0], square & False, revision=0, **ANNA)
        with pytest.raises(ShapeError):
            store.add(pictures[0], square.astype(np.uint8), revision=0, **ANNA)
        for name in ("", "  ", "a\nb", "x" * 101):
            with pytest.raises(ConfigError, match="no name of an annotator"):
                store.add(pictures[0], square, revision=0, annotator=name, source="painted")
        pictures[1].file.write_bytes(b"no picture")
        with pytest.raises(DatasetError, match=r"a/1\.png: "):
            store.add(pictures[1], square, revision=0, **ANNA)
        gone = Picture("gone.png", tmp_path / "gone.png")
        with pytest.raises(DatasetError, match=r"gone\.png"):
            store.add(gone, square, revision=0, **ANNA)
    assert not Annotations(tmp_path / "s").all()


def test_a_face_that_is_synthetic_as_a_whole_has_a_mask(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    with MaskStore(tmp_path) as store:
        record = store.add(pictures[0], square | True, revision=0, **ANNA)
        assert store.mask(record).all()


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.store import MaskStore
from unmask.data.record_log import RecordLog

def die(self, record):
    if {torn}:
        self._file.write(record.model_dump_json().encode()[:40])
    os.kill(os.getpid(), signal.SIGKILL)

RecordLog.append = die
with MaskStore(Path(sys.argv[1])) as store:
    store.add(Picture("a/0.png", Path(sys.argv[2])), np.ones((8, 12), bool), revision=0,
              annotator="anna", source="painted")
"""


@pytest.mark.parametrize("torn", [False, True], ids=["before the record", "within the record"])
def test_a_kill_after_the_png_leaves_no_half_answer(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray, torn: bool
) -> None:
    store_folder = tmp_path / "s"
    words = [sys.executable, "-c", KILLED.format(torn=torn), store_folder, pictures[0].file]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list((store_folder / "masks").iterdir())) == 1
    assert not Annotations(store_folder).all()
    with MaskStore(store_folder) as store:
        assert not store.all()
        record = store.add(pictures[0], square, revision=0, **BEN)
    read = Annotations(store_folder)
    assert read.all() == [record]
    np.testing.assert_array_equal(read.mask(record), square)


def test_one_process_writes_and_others_read(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    with MaskStore(tmp_path) as store:
        store.add(pictures[0], square, revision=0, **ANNA)
        with pytest.raises(DatasetError, match="Another `unmask annotate` is writing"):
            MaskStore(tmp_path)
        assert len(Annotations(tmp_path)) == 1


def test_what_was_altered_outside_is_noticed(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    with MaskStore(tmp_path) as store:
        record = store.add(pictures[0], square, revision=0, **ANNA)
    png = tmp_path / str(record.mask)
    cv2.imwrite(str(png), np.zeros((8, 12), np.uint8))
    with pytest.raises(DatasetError, match="not the one that was stored"):
        Annotations(tmp_path).mask(record)
    png.unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        Annotations(tmp_path).mask(record)
    with (tmp_path / LOG_FILE).open("a") as log:
        log.write("{}\n")
    for kind in (Annotations, MaskStore):
        with pytest.raises(DatasetError, match=re.escape("masks.jsonl, line 2, is not a record")):
            kind(tmp_path)
