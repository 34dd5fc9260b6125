"""Examples for the gallery: every kind, other faces for each, and why one is missing."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.data.forging.forgery import make_settings
from unmask.data.forging.reals import read_reals
from unmask.data.forging.run import synthesize
from unmask.data.forging.specimens import specimens
from unmask.data.index import Index
from unmask.errors import DatasetError

PICTURES = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def reals(tmp_path: Path) -> Index:
    """Two Londoners and a portrait, all in training."""
    rows = [("london_006_03.jpg", "london"), ("london_024_03.jpg", "london")]
    rows.append(("congress_A000055.jpg", "congress"))
    path = tmp_path / "reals.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split", "source"))
        for name, source in rows:
            shutil.copy(PICTURES / name, tmp_path / name)
            writer.writerow((name, 0, "train", source))
    return read_reals(path)


def test_every_kind_is_shown_with_other_faces(reals: Index) -> None:
    settings = make_settings(families=["self_blend", "face_swap", "reupsample-nearest"])
    shown = specimens(reals, settings)
    assert [e.name for e in shown] == [
        "self_blend",
        "face_swap-alpha",
        "face_swap-poisson",
        "reupsample-nearest",
    ]
    for exhibit in shown:
        assert len({s.target.identity for s in exhibit.examples}) == 2
        assert exhibit.problems == ()
        for made in exhibit.examples:
            assert (made.donor is not None) == exhibit.spec.two_people
            changed = np.abs(made.fake.astype(int) - made.target.image).max(axis=2) > 2
            assert changed.any()
            assert made.mask[changed].mean() >= 0.995


def test_they_are_what_synthesize_makes(reals: Index, tmp_path: Path) -> None:
    settings = make_settings(families=["face_swap-alpha"], seed=4)
    (shown,) = specimens(reals, settings)
    synthesize(reals, tmp_path / "out", settings)
    written = {
        cv2.imread(str(path))[..., ::-1].tobytes()
        for path in (tmp_path / "out" / "face_swap-alpha").iterdir()
    }
    assert {made.fake.tobytes() for made in shown.examples} == written


def test_without_a_second_person_it_says_so(reals: Index) -> None:
    alone = Index(reals.root, reals.table[-1:])
    (shown,) = specimens(alone, make_settings(families=["morph-face"]))
    assert shown.examples == ()
    assert "No two people" in shown.problems[0]


def test_without_a_face_there_is_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="None of 1 pictures gives a face"):
        specimens(read_reals(tmp_path), make_settings(families=["self_blend"]))
