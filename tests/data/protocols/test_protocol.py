"""Protocols: what they choose, and a planted violation of every rule."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from unmask.data.index import Index, index_of, video_id
from unmask.data.protocols.leaks import ProtocolError, people
from unmask.data.protocols.protocol import Protocol, Selection, protocol
from unmask.data.protocols.resolve import combined, resolve
from unmask.data.readers.folder import split_of

Row = dict[str, Any]
EACH = 6


def row(stem: str, split: str | None, kind: str = "", **more: Any) -> Row:
    dataset = more.get("dataset", "home")
    found = {
        "video_id": video_id(dataset, kind, more.get("compression", ""), stem),
        "frame": 0,
        "path": f"{kind or 'real'}/{more.get('compression') or 'raw'}/{stem}.png",
        "label": int(kind != ""),
        "dataset": dataset,
        "manipulation": kind,
        "source": "studio",
        "identities": [stem],
        "split": split,
        "codec": "png",
        "width": 256,
        "height": 256,
    }
    return found | more


def home(*kinds: str) -> list[Row]:
    """Reals and one fake of each kind of six people per split."""
    return [
        row(f"{split}{n}", split, kind)
        for split in ("train", "val", "test")
        for n in range(EACH)
        for kind in ("", *kinds)
    ]


def index(rows: list[Row], root: str = "home") -> Index:
    return index_of(Path(root), rows)


def plain(**changes: Any) -> Protocol:
    """Trained on swaps and selected on them, tested on warps, all of one data set."""
    given: dict[str, Any] = {"name": "plain", "summary": "", "tests": {}}
    for name, kind in (("train", "swap"), ("val", "swap"), ("test", "warp")):
        selections = [
            {"dataset": "home", "label": 0, "splits": [name]},
            {"dataset": "home", "label": 1, "splits": [name], "manipulations": [kind]},
        ]
        if name == "test":
            given["tests"] = {"unseen": selections}
        else:
            given[name] = selections
    return Protocol.model_validate(copy.deepcopy(given) | changes)


def abroad(split: str = "test") -> list[dict[str, Any]]:
    return [{"dataset": "abroad", "label": label, "splits": [split]} for label in (0, 1)]


def ids(found: Index) -> set[str]:
    return set(found.table["video_id"])


# --- what is chosen ---------------------------------------------------------------------------


def test_sets_hold_what_the_selections_name() -> None:
    found = resolve(plain(), {"home": index(home("swap", "warp")), "other": index(home("x"))})
    assert ids(found.train) == {
        f"home/{kind}/raw/train{n}" for kind in ("real", "swap") for n in range(EACH)
    }
    assert ids(found.tests["unseen"]) == {
        f"home/{kind}/raw/test{n}" for kind in ("real", "warp") for n in range(EACH)
    }
    assert not found.left_out
    assert found.describe()[-1] == {
        "set": "test unseen",
        "dataset": "home",
        "manipulation": "warp",
        "label": 1,
        "items": EACH,
        "videos": EACH,
        "identities": EACH,
    }
    assert [(r["set"], r["manipulation"]) for r in found.describe()] == [
        ("train", ""),
        ("train", "swap"),
        ("val", ""),
        ("val", "swap"),
        ("test unseen", ""),
        ("test unseen", "warp"),
    ]


def test_compression_source_and_exclusion_restrict() -> None:
    rows = [
        row(f"{n}", "train", kind, compression=compression, source=source)
        for n, (kind, compression, source) in enumerate(
            [("a", "c23", "x"), ("b", "c23", "x"), ("a", "c40", "x"), ("a", "c23", "y")]
        )
    ]
    chosen = Selection(
        dataset="home", label=1, without=("b",), compressions=("c23",), sources=("x",)
    )
    table = index(rows).where(chosen.condition()).table
    assert table["video_id"].to_list() == ["home/a/c23/0"]
    assert str(chosen) == "home fakes without b of c23 of x"


def test_a_family_stands_for_its_kinds_and_for_no_other_name() -> None:
    rows = [row(f"{n}", "test", kind) for n, kind in enumerate(["fill", "fill-fast", "fillet"])]
    for name, expected in (("fill", {"fill", "fill-fast"}), ("fill-fast", {"fill-fast"})):
        chosen = Selection(dataset="home", label=1, manipulations=(name,))
        assert set(index(rows).where(chosen.condition()).table["manipulation"]) == expected


def test_an_unsplit_data_set_is_divided_by_its_people() -> None:
    people = [f"p{n}" for n in range(60)]
    rows = [row(p, None, kind) for p in people for kind in ("", "swap", "warp")]
    pairs = [(people[n], people[n + 1]) for n in range(0, 60, 2)]
    rows += [row("+".join(pair), None, "warp", identities=list(pair)) for pair in pairs]
    rows += [row("stranger", None, identities=[])]
    found = resolve(plain(divide="identity"), {"home": index(rows)})
    for name, chosen in found.sets().items():
        split = name.split()[0]
        met = {p for names in chosen.table["identities"] for p in names}
        assert met
        assert {split_of(p) for p in met} == {split}
    apart = sum(split_of(a) != split_of(b) for a, b in pairs)
    assert apart > 0
    assert found.left_out == {
        "index home": {"people on two sides": apart, "no split and nobody named": 1}
    }
    assert set(found.train.table["split"]) == {"train"}


def test_an_own_split_goes_before_the_division_by_people() -> None:
    rows = home("swap", "warp")
    found = resolve(plain(divide="identity"), {"home": index(rows)})
    assert ids(found.train) == ids(resolve(plain(), {"home": index(rows)}).train)


def test_sets_of_two_data_sets_keep_their_files(tmp_path: Path) -> None:
    first, second = index([row("a", None)], "one"), index([row("b", None)], str(tmp_path))
    both = combined([first, second, first])
    assert len(both) == 2
    assert [both.file(path) for path in both.table["path"]] == [
        Path("one/real/raw/a.png"),
        tmp_path.resolve() / "real" / "raw" / "b.png",
    ]


# --- what is refused --------------------------------------------------------------------------


def refused(rows: list[Row], chosen: Protocol | None = None, **others: list[Row]) -> str:
    indices = {"home": index(rows)} | {name: index(r, name) for name, r in others.items()}
    with pytest.raises(ProtocolError) as caught:
        resolve(chosen or plain(), indices)
    return str(caught.value)


def test_an_item_on_two_sides() -> None:
    chosen = plain(tests={"unseen": abroad("train")})
    rows = home("swap")
    assert "train and test unseen share 12 videos (home/real/raw/train0" in refused(
        rows, chosen, abroad=[r | {"dataset": "abroad"} for r in rows]
    )


def test_a_file_on_two_sides_under_two_ids() -> None:
    rows = home("swap", "warp")
    test = next(r for r in rows if r["video_id"] == "home/warp/raw/test0")
    test["path"] = next(r for r in rows if r["label"] == 1)["path"]
    assert "share 1 file (" in refused(rows)


@pytest.mark.parametrize(("split", "sides"), [("train", "train and val"), ("val", "val and test")])
def test_a_person_on_two_sides(split: str, sides: str) -> None:
    rows = home("swap", "warp")
    later = {"train": "val", "val": "test"}[split]
    kind = {"val": "", "test": "warp"}[later]
    there = next(r for r in rows if r["split"] == later and r["manipulation"] == kind)
    there["identities"] = ["somebody", f"{split}0"]
    message = refused(rows)
    assert f"{sides}{' unseen' * (later == 'test')} share 1 identity (home/{split}0)" in message
    assert there["video_id"] in message


def test_people_are_named_within_their_data_set() -> None:
    chosen = plain(tests={"unseen": abroad("test")})
    other = [row(f"train{n}", "test", k, dataset="abroad") for n in range(3) for k in ("", "x")]
    indices = {"home": index(home("swap")), "abroad": index(other, "abroad")}
    assert len(resolve(chosen, indices).tests["unseen"]) == 6
    same = plain(tests=chosen.model_dump()["tests"], same_people=[["home", "abroad"]])
    assert "share 3 identities (home/train0, home/train1, home/train2)" in refused(
        home("swap"), same, abroad=other
    )


def test_a_person_may_say_whose_it_is() -> None:
    chosen = plain(tests={"unseen": abroad("test")})
    other = [row(f"a{n}", "test", k, dataset="abroad") for n in range(3) for k in ("", "x")]
    other[0]["identities"] = ["home/train1"]
    assert "share 1 identity (home/train1)" in refused(home("swap"), chosen, abroad=other)


def test_people_of_the_training_can_be_left_out_of_a_test_and_are_counted() -> None:
    chosen = plain(tests={"unseen": abroad("test")}, leave_out_seen=["unseen"])
    other = [row(f"a{n}", "test", k, dataset="abroad") for n in range(3) for k in ("", "x")]
    other[0]["identities"] = ["b", "home/train1"]
    other[1]["identities"] = ["home/val1"]
    indices = {"home": index(home("swap")), "abroad": index(other, "abroad")}
    found = resolve(chosen, indices)
    assert len(found.tests["unseen"]) == 4
    assert found.left_out == {"test unseen": {"people of training or validation": 2}}


def test_unknown_people_are_parted_by_the_data_sets_own_split_only() -> None:
    rows = [r | {"identities": []} for r in home("swap", "warp")]
    assert len(resolve(plain(), {"home": index(rows)}).train) == 2 * EACH
    # the same pictures, but that nothing says which side of the data set they are on
    parted = [r for r in rows if r["split"] != "test"]
    unsplit = [r | {"split": None, "dataset": "again"} for r in rows if r["split"] == "test"]
    anything = [{"dataset": "again", "label": label} for label in (0, 1)]
    same = plain(tests={"unseen": anything}, same_people=[["home", "again"]])
    told = "train and test unseen both have items of home, and it is not known who"
    assert told in refused(parted, same, again=unsplit)


def test_an_index_of_another_data_set_is_refused() -> None:
    rows = [r | {"dataset": "near"} for r in home("swap", "warp")]
    assert "The index given as home is of near" in refused(rows)


def test_data_sets_of_one_set_of_people_need_not_be_declared() -> None:
    # the same celebrities under the same names, whatever a protocol says
    mine = [r | {"dataset": "celebdf-v2"} for r in home("swap", "warp")]
    old = [
        r | {"dataset": "celebdf-v1", "video_id": "celebdf-v1/" + r["video_id"], "path": r["path"]}
        for r in home("swap", "warp")
        if r["split"] == "train"
    ]
    joined = people(index(mine + old))["person"].unique().sort().to_list()
    assert joined == people(index(mine))["person"].unique().sort().to_list()
    assert all(name.startswith("celebdf/") for name in joined)


def test_validation_on_another_data_set_is_no_protocol() -> None:
    with pytest.raises(ValidationError, match="val selects from abroad, which is not trained on"):
        plain(val=abroad("val"))


@pytest.mark.parametrize(
    ("column", "value"),
    [("manipulation", "warp"), ("source", "street"), ("compression", "c40")],
)
def test_validation_on_what_is_not_trained_on(column: str, value: str) -> None:
    rows = home("swap", "warp")
    val = [{"dataset": "home", "label": label, "splits": ["val"]} for label in (0, 1)]
    if column != "manipulation":
        rows = [r for r in rows if not (r["split"] == "val" and r["manipulation"] == "warp")]
        there = next(r for r in rows if r["split"] == "val" and r["label"] == 1)
        there[column] = value
    message = refused(rows, plain(val=val))
    assert "validation items are of nothing that is trained on" in message
    assert f"{column} {value}" in message


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_data_sets_own_test_is_neither_trained_nor_selected_on(part: str) -> None:
    changed = plain().model_dump()[part]
    for selection in changed:
        selection["splits"] = ["test"]
    rows = home("swap")
    other = [row(f"a{n}", "test", k, dataset="abroad") for n in range(3) for k in ("", "x")]
    chosen = plain(**{part: changed}, tests={"unseen": abroad("test")})
    name = {"train": "training", "val": "validation"}[part]
    assert f"The {name} set holds 12 videos" in refused(rows, chosen, abroad=other)


def test_selection_is_on_validation_items_and_nothing_else() -> None:
    found = resolve(plain(), {"home": index(home("swap", "warp"))})
    assert found.selection_set() is found.val
    found.check_selection(found.selection_set().table["video_id"])
    found.check_selection(["home/swap/raw/val3"])
    for foreign in ("home/warp/raw/test0", "home/swap/raw/train0"):
        with pytest.raises(ProtocolError, match=f"selected on 1 others, the first is {foreign}"):
            found.check_selection([*ids(found.val), foreign])
    with pytest.raises(ProtocolError, match="selected on nothing"):
        found.check_selection([])


TELLING = {
    "codec": ("png", "jpeg"),
    "quality": (23, 40),
    "width": (256, 320),
    "height": (256, 320),
}


@pytest.mark.parametrize("column", TELLING)
@pytest.mark.parametrize("where", ["train", "val", "test"])
def test_classes_that_differ_in_a_column(column: str, where: str) -> None:
    rows = home("swap", "warp")
    for r in rows:
        r["codec"], r["quality"] = "h264", 23
        r[column] = TELLING[column][r["label"] if r["split"] == where else 0]
    message = refused(rows)
    named = {"test": "test unseen"}.get(where, where)
    assert f"{named}: {column} alone tells fakes from reals with balanced accuracy 1.00" in message
    assert f"reals have mostly {TELLING[column][0]}, fakes mostly {TELLING[column][1]}" in message
    assert len(resolve(plain(normalise={}), {"home": index(rows)}).train) == 2 * EACH


def test_one_manipulation_that_differs_does_not_hide_among_others() -> None:
    kinds = [f"swap-{n}" for n in range(9)]
    rows = home(*kinds, "warp")
    for r in rows:
        r["width"] = 320 if r["manipulation"] == "swap-3" else 256
    assert "width alone tells swap-3 fakes from reals" in refused(rows)


@pytest.mark.parametrize("column", TELLING)
def test_an_unknown_value_counts_as_a_difference(column: str) -> None:
    rows = home("swap", "warp")
    for r in rows:
        r["codec"], r["quality"] = "h264", 23
    rows[0][column] = None
    assert f"train: {column} is not known of 1 of 12 items" in refused(rows)
    assert resolve(plain(normalise={}), {"home": index(rows)})


def test_sizes_alike_in_both_classes_pass() -> None:
    rows = home("swap", "warp")
    for n, r in enumerate(rows):
        r["width"] = r["height"] = 200 + 16 * (n // 3 % EACH)  # a person's fakes have its size
    assert resolve(plain(), {"home": index(rows)})


def test_pictures_below_the_window_are_left_out_and_counted() -> None:
    rows = home("swap", "warp")
    rows[0]["width"] = 100
    found = resolve(plain(normalise={"side": 128}), {"home": index(rows)})
    assert found.left_out == {"train": {"smaller than 128 pixels": 1}}
    assert len(found.train) == 2 * EACH - 1
    scaled = plain(normalise={"side": 128, "size": "scale"})
    assert len(resolve(scaled, {"home": index(rows)}).train) == 2 * EACH


def test_a_missing_index_is_named() -> None:
    with pytest.raises(ProtocolError, match=r"needs an index of ffpp"):
        resolve(protocol("ffpp-c23->celebdf-v2"), {"celebdf-v2": index(home("x"))})


def test_a_named_manipulation_that_is_not_there() -> None:
    message = refused(home("swap"))
    assert "plain finds no warp in: home warp in test" in message
    assert "manipulation swap;" in message


def test_an_empty_selection_says_what_there_is() -> None:
    rows = [r for r in home("swap", "warp") if r["split"] != "val"]
    message = refused(rows)
    assert "finds no items in: home reals in val" in message
    assert "split test, train" in message


def test_each_set_needs_both_classes() -> None:
    with pytest.raises(ValidationError, match="test unseen needs selections of both classes"):
        plain(tests={"unseen": abroad()[:1] * 2})
    chosen = plain(tests={"unseen": abroad("test")}, leave_out_seen=["unseen"])
    other = [row(f"a{n}", "test", k, dataset="abroad") for n in range(3) for k in ("", "x")]
    for r in other:
        if r["label"]:
            r["identities"] = ["home/train0"]
    assert "test unseen has no items of one class" in refused(home("swap"), chosen, abroad=other)


def test_reals_have_no_manipulation() -> None:
    with pytest.raises(ValidationError, match="cannot name manipulations"):
        Selection(dataset="home", label=0, manipulations=("swap",))
    with pytest.raises(ValidationError, match="leave_out_seen names no test: seen"):
        plain(leave_out_seen=["seen"])
