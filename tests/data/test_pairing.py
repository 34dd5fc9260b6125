"""A fake beside the very real that it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.test_dataset import NOTHING, SPEC, crops_of, settings

from unmask.data.dataset import TrainingPairs
from unmask.data.items import Item
from unmask.data.pairing import own_fakes


def item(path: str, label: int, identity: str, generator: str = "") -> Item:
    return Item(Path(path), label, "a", generator, identity, "train")


def test_by_name_and_person_then_by_person() -> None:
    items = [
        item("real/1.png", 0, "ann"),
        item("real/2.png", 0, "ann"),
        item("real/3.png", 0, "bob"),
        item("real/4.png", 0, "eve"),
        item("real/5.png", 0, ""),
        item("swap/2.png", 1, "ann+bob", "swap"),
        item("swap/9.png", 1, "bob+ann", "swap"),
        item("swap/4.png", 1, "dan+eve", "swap"),
        item("swap/5.png", 1, "", "swap"),
    ]
    found = own_fakes(items, range(5), range(5, 9))
    # 1 has no fake of its name, so it takes ann's; 4's name is another person's; nobody is nobody
    assert found == {0: [5], 1: [5], 2: [6]}


@pytest.fixture
def four() -> TrainingPairs:
    crops = crops_of([("a", 0, "", "train")] * 4 + [("a", 1, "gan", "train")] * 3)
    people = ["p", "q", "r", "s", "r", "q", "p"]
    items = [
        Item(i.path, i.label, i.source, i.generator, person, i.split)
        for i, person in zip(crops.items, people, strict=True)
    ]
    object.__setattr__(crops, "items", items)
    chosen = settings(families={"gan": 1.0}, laundering=NOTHING, own=True)
    return TrainingPairs(crops, SPEC, chosen, seed=0)


def test_pairs_hold_a_real_and_its_own_fake_where_there_is_one(four: TrainingPairs) -> None:
    rng = np.random.default_rng(0)
    expected = {0: 6, 1: 5, 2: 4}
    for real, fake in expected.items():
        for _ in range(4):
            one, other, _ = four._pair(real, "gan", rng)
            np.testing.assert_array_equal(one, four.crops.image(real))
            np.testing.assert_array_equal(other, four.crops.image(fake))
    # the fourth has none: any real beside any fake, as without `own`
    drawn = {int(four._pair(3, "gan", rng)[1].sum()) for _ in range(30)}
    assert drawn == {int(four.crops.image(i).sum()) for i in (4, 5, 6)}
