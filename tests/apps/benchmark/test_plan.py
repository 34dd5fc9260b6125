"""Tables and plans: what is refused, what a part is, and hashes that outlive new settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from unmask.apps.benchmark.plan import Arm, Plan, Table, config_sha256, load_table
from unmask.apps.benchmark.run import open_plan, read_plan
from unmask.errors import ConfigError
from unmask.training.config import TrainConfig

FAMILIES = {"reenact": 1.0}
GIVEN: dict[str, Any] = {
    "name": "small",
    "summary": "s",
    "reference": "a",
    "budget": "b",
    "arms": {"a": {"model": "meso4"}, "b": {"model": "xception"}},
}


def plan(**changes: object) -> Plan:
    table = Table.model_validate(GIVEN)
    given = {"protocol": "p", "table": table, "families": FAMILIES, "items_sha256": "0"}
    return Plan.model_validate({**given, **changes})


def grown(**changes: object) -> Plan:
    return plan(table=Table.model_validate({**GIVEN, **changes}))


def test_every_arm_of_the_packaged_table_has_a_configuration() -> None:
    table = load_table("rivals")
    hashes = {
        config_sha256(table.config(arm, seed, FAMILIES)) for arm in table.arms for seed in (0, 1)
    }
    assert len(hashes) == 2 * len(table.arms)
    own = table.config("sbi", 0, FAMILIES)
    assert (own.data.families, own.data.forged) == ({"self_blend": 1.0}, True)
    usual = table.config("xception", 0, FAMILIES)
    assert (usual.data.families, usual.data.forged) == (FAMILIES, False)
    assert (usual.name, usual.optim.learning_rate) == ("xception-0", 1e-3)


def test_hashes_do_not_depend_on_settings_that_came_later_or_on_places() -> None:
    class Later(TrainConfig):
        colour: str = "none"

    given = {"name": "a-0", "model": "meso4", "data": {"side": 64}}
    first = config_sha256(TrainConfig.model_validate(given))
    assert config_sha256(Later.model_validate(given)) == first
    assert config_sha256(Later.model_validate(given | {"colour": "red"})) != first
    placed = given | {"data": {"side": 64, "index": "/x.csv", "workers": 3}}
    assert config_sha256(TrainConfig.model_validate(placed)) == first
    for change in ({"seed": 1}, {"data": {"side": 96}}, {"optim": {"epochs": 3}}):
        assert config_sha256(TrainConfig.model_validate(given | change)) != first


def test_a_hash_is_what_it_was_when_runs_were_made_with_it() -> None:
    config = TrainConfig.model_validate({"name": "a-0", "model": "meso4", "data": {"side": 64}})
    # a literal: finished runs carry such hashes
    assert (
        config_sha256(config) == "38e038d85eb36c4ca077fbf6a829927dac512dbec1e1bc55b56f3a264cbabd19"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "c"}, "reference 'c' is not one of the arms"),
        ({"seeds": [0, 0]}, "seeds must differ"),
        ({"seeds": []}, "seeds"),
        ({"arms": {}}, "arms"),
        ({"arms": {"a/b": {"model": "meso4"}}, "reference": "a/b"}, "arms"),
        ({"sweeps": 3}, "sweeps: Extra inputs"),
        ({"sweep_each": -1}, "sweep_each"),
    ],
)
def test_a_table_that_cannot_be_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({**GIVEN, **change}))
    with pytest.raises(ConfigError, match=message):
        load_table(str(tmp_path / "t.yaml"))


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_table(str(tmp_path / "t.yaml"))
    with pytest.raises(ConfigError, match=r"(?s)no table 'rival'.*rivals"):
        load_table("rival")


def test_an_arm_that_cannot_work_is_named() -> None:
    arms = {"a": {"model": "meso4", "optim": {"batch_size": 3}}}
    table = Table.model_validate({**GIVEN, "arms": arms})
    with pytest.raises(ConfigError, match=r"(?s)The arm a of the table small.*must be even"):
        table.config("a", 0, FAMILIES)


def test_a_part_keeps_the_order_of_the_table() -> None:
    table = Table.model_validate(GIVEN)
    assert table.part((), ()) == table
    one = table.part(("b",), (5, 3))
    assert (list(one.arms), one.seeds, one.reference) == (["b"], (5, 3), "b")
    assert list(table.part(("b", "a"), ()).arms) == ["a", "b"]
    with pytest.raises(ConfigError, match=r"(?s)no arm c.*It has: a, b"):
        table.part(("a", "c"), ())
    with pytest.raises(ConfigError, match="Seeds must differ; got 1, 1"):
        table.part((), (1, 1))


def test_a_plan_is_kept_and_grows(tmp_path: Path) -> None:
    out = tmp_path / "out"
    open_plan(out, plan(), False)
    assert read_plan(out) == plan()
    with pytest.raises(ConfigError, match=r"(?s)already holds a comparison.*--resume"):
        open_plan(out, plan(), False)
    more = {"arms": {"c": {"model": "srm"}}, "reference": "c", "seeds": (3, 1)}
    open_plan(out, grown(**more), True)
    kept = read_plan(out).table
    assert (list(kept.arms), kept.seeds, kept.reference) == (["a", "b", "c"], (0, 1, 2, 3), "a")


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: plan(items_sha256="1"), "the pictures"),
        (lambda: plan(protocol="q"), "the protocol"),
        (lambda: plan(unseen={"gan": "x"}), "the columns"),
        (lambda: plan(beside={"gan": ("ffhq",)}), "the columns"),
        (lambda: grown(sweep_each=3), "the table"),
        (lambda: grown(common={"optim": {"epochs": 9}}), "the table"),
        (lambda: grown(arms={"a": {"model": "srm"}}), "an arm"),
    ],
)
def test_another_plan_is_refused(tmp_path: Path, other: Callable[[], Plan], what: str) -> None:
    open_plan(tmp_path / "out", plan(), False)
    with pytest.raises(ConfigError, match=f"differs in {what}"):
        open_plan(tmp_path / "out", other(), True)
    assert read_plan(tmp_path / "out") == plan()


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigError, match="not empty and holds no comparison"):
        open_plan(tmp_path, plan(), False)
    with pytest.raises(ConfigError, match="holds no comparison"):
        read_plan(tmp_path)
    (tmp_path / "plan.json").write_text('{"protocol": 3}')
    with pytest.raises(ConfigError, match="no plan of a comparison"):
        read_plan(tmp_path)


def test_an_arm_is_data_only() -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        Arm.model_validate({"model": "meso4", "weights": "x"})
