"""How well a column tells the classes apart on items it was not learned from."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.data.protocols.separation import held_out_rates, rule_accuracy
from unmask.errors import DatasetError


def of(n_real: int, n_fake: int) -> tuple[np.ndarray, list[str]]:
    labels = np.repeat([0, 1], [n_real, n_fake])
    return labels, [f"v{i}" for i in range(n_real + n_fake)]


@pytest.mark.parametrize("values", [("a", "b"), (75, 95), (None, "png"), (False, True)])
def test_a_value_of_each_class_is_a_perfect_rule(values: tuple[object, object]) -> None:
    labels, groups = of(10, 20)
    accuracy, error = rule_accuracy([values[label] for label in labels], labels, groups)
    assert (accuracy, error) == (1.0, 0.0)


def test_a_constant_tells_nothing() -> None:
    labels, groups = of(7, 13)
    assert rule_accuracy(["x"] * 20, labels, groups)[0] == 0.5
    held = held_out_rates(["x"] * 20, labels, groups)
    assert np.allclose(held.rates, held.prior)


def test_values_between_those_of_the_other_class_are_found() -> None:
    labels, groups = of(40, 40)
    values = [75 if i % 2 else 95 for i in range(40)] + [85] * 40
    assert rule_accuracy(values, labels, groups)[0] == 1.0


@pytest.mark.parametrize("distinct", [2, 8, 400])
def test_chance_gives_one_half_on_average_however_many_the_values(distinct: int) -> None:
    # in-sample, 400 values of 40 items would tell the classes apart perfectly
    rng = np.random.default_rng(0)
    labels, groups = of(20, 20)
    found = [
        rule_accuracy(rng.integers(distinct, size=40).tolist(), labels, groups)[0]
        for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=0.012)


def test_the_standard_error_covers_the_spread_of_chance() -> None:
    rng = np.random.default_rng(1)
    labels, groups = of(60, 60)
    runs = [rule_accuracy(rng.integers(2, size=120).tolist(), labels, groups) for _ in range(300)]
    beyond = [accuracy > 0.5 + 3 * error for accuracy, error in runs]
    assert np.mean(beyond) < 0.02


def test_frames_of_a_video_do_not_vouch_for_each_other() -> None:
    # every video has a width of its own: telling only if its frames are on both sides
    rng = np.random.default_rng(2)
    videos = rng.permutation(30)
    groups = [f"v{v}" for v in videos for _ in range(20)]
    values = [f"width {v}" for v in videos for _ in range(20)]
    labels = np.array([int(v % 2) for v in videos for _ in range(20)])
    assert rule_accuracy(values, labels, groups)[0] == 0.5
    fold = held_out_rates(values, labels, groups).fold
    assert all(len({f for f, g in zip(fold, groups, strict=True) if g == v}) == 1 for v in groups)


def test_a_long_video_counts_once() -> None:
    labels, groups = of(10, 10)
    values = ["a"] * 10 + ["b"] * 10
    long = 500  # frames of one real that looks like a fake
    more = rule_accuracy(
        [*values, *["b"] * long],
        np.concatenate([labels, np.zeros(long, int)]),
        [*groups, *["long"] * long],
    )
    assert more[0] == pytest.approx((10 / 11 + 1) / 2)


def test_a_pair_of_one_person_does_not_speak_against_itself() -> None:
    # every fake has the size of its real: the size tells nothing, and says so
    labels, groups = of(40, 40)
    people = [f"p{i % 40}" for i in range(80)]
    sizes = [i % 40 // 2 for i in range(80)]
    apart, _ = rule_accuracy(sizes, labels, groups)
    together, _ = rule_accuracy(sizes, labels, groups, people)
    assert apart < 0.4  # what is learned from the one half is wrong for the other
    assert together == 0.5
    fold = held_out_rates(sizes, labels, groups, people).fold
    assert np.array_equal(fold[:40], fold[40:])


@pytest.mark.parametrize("people", [["a"] * 20, ["a"] * 10 + ["b"] * 10])
def test_a_class_of_one_person_is_parted_by_video(people: list[str]) -> None:
    labels, groups = of(10, 10)
    assert rule_accuracy(["x"] * 10 + ["y"] * 10, labels, groups, people)[0] == 1.0


@pytest.mark.parametrize("kinds", [(1, 1, 1), (0, 2, 2), (2, 0, 0), (3, 1, 0)])
def test_any_number_of_people_in_both_or_one_class(kinds: tuple[int, int, int]) -> None:
    both, only_real, only_fake = kinds
    people = [f"b{i}" for i in range(both)] * 2
    labels = [0] * both + [1] * both + [0] * only_real + [1] * only_fake
    people += [f"r{i}" for i in range(only_real)] + [f"f{i}" for i in range(only_fake)]
    groups = [f"v{i}" for i in range(len(labels))]
    held = held_out_rates(["x"] * len(labels), np.array(labels), groups, people)
    assert np.allclose(held.rates, held.prior)
    assert np.isfinite(held.rates).all()
    assert len(set(held.fold)) > 1


def test_the_order_of_the_items_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    labels, groups = of(30, 30)
    values = rng.normal(size=60) + labels
    order = rng.permutation(60)
    one = held_out_rates(values.tolist(), labels, groups)
    two = held_out_rates(values[order].tolist(), labels[order], [groups[i] for i in order])
    assert np.array_equal(one.rates[order], two.rates)


def test_one_video_of_a_class_is_too_few() -> None:
    labels, groups = of(1, 5)
    with pytest.raises(DatasetError, match="1 real and 5 fake"):
        held_out_rates(["x"] * 6, labels, groups)
