"""Learned people who come with a family keep to their split, as donors do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unmask.data.forging.forgery import Found, make_settings
from unmask.data.forging.plan import Plan, inputs_of, plan_of
from unmask.data.index import index_of, video_id
from unmask.synthesis.families import SPECS

PEOPLE = SPECS["autoencoder_swap"].painted
A, B, C, D = PEOPLE


def planned(*rows: tuple[str, str | None], family: str = "autoencoder_swap") -> Plan:
    """Plans three forgeries of each (identity, split)."""
    table: list[dict[str, Any]] = [
        {
            "video_id": video_id("mine", "", "", f"{i}"),
            "frame": 0,
            "path": f"{i}.png",
            "label": 0,
            "dataset": "mine",
            "source": "s",
            "identities": [who],
            "split": split,
        }
        for i, (who, split) in enumerate(rows)
    ]
    inputs = inputs_of(index_of(Path("."), table))
    found = [Found(name=i.source.name, key="k", sha256=f"{n}") for n, i in enumerate(inputs)]
    return plan_of(inputs, found, make_settings(families=(family,), per_face=3))


def painted(plan: Plan) -> list[set[str]]:
    return [{order.painted for order in task.orders} for task in plan.tasks]


def test_a_face_gets_somebody_of_its_split() -> None:
    rows = [(f"{split}{n}", split) for n in range(9) for split in ("train", "val", "test")]
    found = painted(planned(*rows))
    assert set().union(*found[0::3]) == {A, B}
    assert set().union(*found[1::3]) == {C}
    assert set().union(*found[2::3]) == {D}


def test_the_split_that_a_learned_person_has_among_the_pictures_counts() -> None:
    everybody = [(who, "test") for who, _ in PEOPLE.values()]
    found = painted(planned(*everybody, ("x", "train"), ("y", "test")))
    # nobody is painted over their own face, and x, the only one in training, has nobody at all
    assert len(found) == len(everybody) + 1
    assert all(kind not in mine for kind, mine in zip(PEOPLE, found, strict=False))
    plan = planned(*everybody, ("x", "train"))
    assert [loss.reason for losses in plan.without_donor.values() for loss in losses] == [
        "no_donor"
    ] * 3


def test_a_kind_that_is_asked_for_is_made_where_it_may_be() -> None:
    plan = planned(("x", "train"), ("y", "val"), family=f"autoencoder_swap-{C}")
    assert painted(plan) == [{C}]
    assert plan.tasks[0].face.source.people == ("y",)


def test_without_splits_anybody_is_painted() -> None:
    found = painted(planned(*((f"{n}", None) for n in range(30))))
    assert set().union(*found) == {A, B, C, D}


@pytest.mark.parametrize("family", ["self_blend", "face_swap"])
def test_other_families_bring_nobody_along(family: str) -> None:
    plan = planned(("x", "train"), ("y", "train"), family=family)
    assert painted(plan) == [{""}, {""}]
