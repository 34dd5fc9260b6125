"""The table of what masks are worth: the ablations' budget, and nothing else between its arms."""

from __future__ import annotations

from unmask.apps.benchmark.plan import load_table

FAMILIES = {"inpaint": 1.0}


def test_the_budget_is_that_of_the_ablations() -> None:
    table, ablations = load_table("masks"), load_table("ablations")
    assert table.common == ablations.common
    assert (table.seeds, table.sweep_each) == (ablations.seeds, ablations.sweep_each)
    assert table.arms["airl_b0"].model_copy(update={"summary": ""}) == ablations.arms[
        "airl_b0"
    ].model_copy(update={"summary": ""})
    assert table.budget.startswith(ablations.budget)


def test_arms_differ_in_attention_alone() -> None:
    table = load_table("masks")
    plain = table.config("airl_b0", 0, FAMILIES).model_dump(exclude={"name"})
    arms = {"regress": ("regress", 1.0), "gate": ("gate", 1.0), "gate_unmasked": ("gate", 0.0)}
    assert set(table.arms) == {"airl_b0", *arms}
    for arm, (attention, weight) in arms.items():
        found = table.config(arm, 0, FAMILIES).model_dump(exclude={"name"})
        assert found.pop("model_options") == {"attention": attention}
        assert found["optim"].pop("attention_weight") == weight
        for name, value in found.items():
            given = dict(plain[name]) if isinstance(plain[name], dict) else plain[name]
            if name == "optim":
                assert given.pop("attention_weight") == 0
            assert value == given
