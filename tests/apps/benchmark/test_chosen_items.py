"""Which items are scored under which condition, and which are swept or embedded."""

from __future__ import annotations

import numpy as np
import polars as pl

from unmask.apps.benchmark.run import batches, embedded_items, swept_items


def items_of(*groups: tuple[str, list[str], int]) -> pl.DataFrame:
    """(family, sets, how many) in order."""
    rows = [
        {"family": family, "sets": sets, "label": int(bool(family))}
        for family, sets, count in groups
        for _ in range(count)
    ]
    return pl.DataFrame(rows).with_row_index("item")


ITEMS = items_of(
    ("", ["seen", "unseen"], 30),
    ("", ["seen"], 10),
    ("swap", ["unseen"], 12),
    ("blend", ["seen"], 8),
    ("inpaint", ["unseen"], 2),
    ("gan", ["gan"], 5),
)


def test_the_sweep_is_on_each_unseen_family_and_as_many_reals() -> None:
    swept = swept_items(ITEMS, 3)
    assert (np.diff(swept) > 0).all()
    chosen = ITEMS[swept.tolist()]
    counts = dict(chosen.group_by("family").len().rows())
    assert counts == {"": 5, "swap": 3, "inpaint": 2}
    assert chosen["sets"].list.contains("unseen").all()
    # evenly spread over their order, both ends included
    assert [n for n in swept.tolist() if 40 <= n < 52] == [40, 46, 51]
    np.testing.assert_array_equal(swept, swept_items(ITEMS, 3))
    assert swept_items(ITEMS, 0).size == 0


def test_a_sweep_of_more_fakes_than_reals_takes_all_reals() -> None:
    few = items_of(("", ["unseen"], 2), ("swap", ["unseen"], 6))
    assert swept_items(few, 5).tolist() == [0, 1, 2, 3, 4, 6, 7]


def test_every_group_is_embedded() -> None:
    numbers, names = embedded_items(ITEMS, 4)
    assert len(numbers) == len(names) == 4 + 4 + 4 + 2 + 4
    families = ITEMS["family"].to_list()
    assert [families[n] or "real" for n in numbers] == list(names)
    assert set(names) == {"real", "swap", "blend", "inpaint", "gan"}


def test_batches_cover_all_items_reals_or_the_sweep() -> None:
    made = {batch.condition: batch.items.tolist() for batch in batches(ITEMS, 3)}
    every, reals, swept = list(range(67)), list(range(40)), swept_items(ITEMS, 3).tolist()
    for name, items in made.items():
        kind = name.split("/")[0]
        assert items == {"control": reals, "sweep": swept}.get(kind, every), name
    assert next(iter(made)) == "clean"
    assert {n for n in made if "/" not in n} == {"clean", "blur+jpeg"}
    without = {batch.condition for batch in batches(ITEMS, 0)}
    assert without == {name for name in made if not name.startswith("sweep/")}
