"""Test items: their sets, clusters and paths; columns of fakes from wherever they lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.apps.benchmark.material import Material, family_of, gather, read_fakes
from unmask.data.index import Index, index_of, read_index, write_index
from unmask.data.protocols.protocol import protocol
from unmask.data.protocols.resolve import Resolved, resolve
from unmask.errors import ConfigError, DatasetError
from unmask.evaluation.comparison.layout import checked_items

Gathered = Callable[..., Material]


@pytest.fixture
def resolved(index: Path) -> Resolved:
    return resolve(protocol("reenact->face_swap"), {"synthetic": read_index(index)})


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def gathered(resolved: Resolved, tmp_path: Path, said: list[str]) -> Gathered:
    def make(unseen: dict[str, Index] | None = None, **beside: list[str]) -> Material:
        return gather(resolved, unseen or {}, beside, tmp_path / "cache", said.append)

    return make


@pytest.mark.parametrize(
    ("manipulation", "family"),
    [
        ("inpaint-telea", "inpaint"),
        ("face_swap", "face_swap"),
        ("style-gan", "style-gan"),
        ("", ""),
    ],
)
def test_kinds_of_our_own_families_are_gathered(manipulation: str, family: str) -> None:
    assert family_of(manipulation) == family


def test_items_are_numbered_and_lie_where_places_say(gathered: Gathered, column: Path) -> None:
    material = gathered({"gan": read_fakes("gan", column)}, gan=["studio"])
    items = checked_items(material.items, "items")
    assert items.height == 5 + 2 * 5 + 3
    crops = material.test_crops()()
    roots = {"gan": column.parent, "synthetic": None}
    for row, place in zip(items.to_dicts(), material.places, strict=True):
        item = crops.items[place]
        assert item.path.as_posix().endswith(row["path"])
        assert (item.label, item.generator) == (row["label"], row["manipulation"])
        expected = cv2.imread(str(item.path))[..., ::-1]
        np.testing.assert_array_equal(crops.image(int(place)), expected)
        assert row["dataset"] in roots
        assert not row["path"].startswith("/")
    sets = {(row["family"], row["source"]): row["sets"] for row in items.to_dicts()}
    assert sets["", "studio"] == ["seen", "unseen", "gan"]
    assert sets["", "ffhq"] == ["seen", "unseen"]
    assert sets["stylegan2", "faces"] == ["gan"]
    people = {*(f"synthetic/test{n}" for n in range(5)), *(f"gan/g{n}" for n in range(3))}
    assert set(items["cluster"].to_list()) == people
    assert material.families == {"reenact": 1.0}
    assert {item.split for item in material.training} == {"train", "val"}


def test_all_reals_stand_beside_a_column_of_which_nothing_is_said(
    gathered: Gathered, column: Path
) -> None:
    items = gathered({"gan": read_fakes("gan", column)}).items
    assert all("gan" in row["sets"] for row in items.to_dicts() if row["label"] == 0)


def test_the_hash_is_of_the_pictures(gathered: Gathered, column: Path) -> None:
    assert gathered().sha256() == gathered().sha256()
    assert gathered().sha256() != gathered({"gan": read_fakes("gan", column)}).sha256()


def test_pictures_without_a_face_are_counted(
    resolved: Resolved, face_row: Any, tmp_path: Path, said: list[str]
) -> None:
    rows = [face_row(tmp_path, f"x/{n}", f"x{n}", "test", manipulation="glow") for n in range(3)]
    (tmp_path / "x/1.png").unlink()
    fakes = index_of(tmp_path, [row | {"dataset": "other"} for row in rows])
    material = gather(resolved, {"glow": fakes}, {}, tmp_path / "cache", said.append)
    assert material.dropped == {"glow glow": 1}
    assert "test pictures without a usable face: {'glow glow': 1}" in said
    assert material.items["item"].to_list() == list(range(5 + 2 * 5 + 2))
    assert [p for p in material.items["path"] if p.startswith("x/")] == ["x/0.png", "x/2.png"]


def test_columns_that_cannot_be_are_refused(gathered: Gathered, column: Path) -> None:
    fakes = read_fakes("gan", column)
    with pytest.raises(ConfigError, match="has a test seen of its own"):
        gathered({"seen": fakes})
    with pytest.raises(ConfigError, match="--beside names gan, which is no column"):
        gathered({}, gan=["ffhq"])
    with pytest.raises(ConfigError, match=r"(?s)no reals of the source celeba.*ffhq, studio"):
        gathered({"gan": fakes}, gan=["ffhq", "celeba"])


def test_a_column_is_a_plain_folder(tmp_path: Path) -> None:
    folder = tmp_path / "midjourney"
    (folder / "a").mkdir(parents=True)
    for name in ("1.png", "a/2.png"):
        cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    fakes = read_fakes("mj", folder).table
    assert fakes["path"].to_list() == ["1.png", "a/2.png"]
    assert set(fakes.select("label", "manipulation", "split").rows()) == {(1, "mj", "test")}
    assert fakes["identities"].to_list() == [[], []]


def test_a_column_is_the_fakes_of_the_test_split(index: Path, column: Path, tmp_path: Path) -> None:
    assert read_fakes("gan", column).table["path"].to_list() == ["0.png", "1.png", "2.png"]
    for given in (index, index.parent):
        table = read_fakes("own", given).table
        assert set(table.select("label", "split").rows()) == {(1, "test")}
        assert table.height == 10
    (tmp_path / "reals").mkdir()
    reals = read_index(index).table.filter(label=0).head(2)
    write_index(Index(tmp_path / "reals", reals), tmp_path / "reals/index.parquet")
    with pytest.raises(DatasetError, match="no fakes for the test column none"):
        read_fakes("none", tmp_path / "reals")
    with pytest.raises(DatasetError, match="There is no index"):
        read_fakes("none", tmp_path / "gone")
