"""A crew's threads: whose they are, in which order they answer, and what they may use."""

from __future__ import annotations

import threading

import pytest
import torch

from unmask.models.crew import Crew


@pytest.fixture
def crew() -> Crew:
    crew = Crew("cpu")
    crew.size = 3  # whatever the tests' machine has
    return crew


def test_answers_come_in_the_items_order(crew: Crew) -> None:
    gates = [threading.Event() for _ in range(3)]

    def wait_for_the_next(item: int) -> int:
        if item < 2:
            assert gates[item + 1].wait(10)
        gates[item].set()
        return item * 10

    assert crew.map(wait_for_the_next, [0, 1, 2]) == [0, 10, 20]


def test_each_of_its_threads_computes_alone_and_the_callers_number_stays(crew: Crew) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)

    def seen(_: int) -> tuple[int, bool]:
        return torch.get_num_threads(), threading.current_thread() is threading.main_thread()

    try:
        assert crew.map(seen, range(6)) == [(1, False)] * 6
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("size", "items"), [(3, [1]), (1, [1, 2, 3]), (3, [])])
def test_what_cannot_be_shared_is_done_by_the_caller(
    crew: Crew, size: int, items: list[int]
) -> None:
    crew.size = size
    here = threading.get_ident()
    assert crew.map(lambda _: threading.get_ident(), items) == [here] * len(items)


def test_a_single_item_beside_others_gets_one_core(crew: Crew) -> None:
    (done,) = crew.start(lambda _: (torch.get_num_threads(), threading.get_ident()), [0], more=True)
    threads, where = done.result()
    assert threads == 1
    assert where != threading.get_ident()


@pytest.mark.parametrize("items", [[0], [1, 0, 2]])
def test_an_error_comes_to_the_caller(crew: Crew, items: list[int]) -> None:
    with pytest.raises(ZeroDivisionError):
        crew.map(lambda item: 1 / item, items)


def test_a_graphics_card_is_not_shared_out() -> None:
    assert Crew("cuda").size == 1


def test_spare_threads_work_beside_the_others() -> None:
    crew = Crew("cpu", spare=1)
    crew.size = 2
    together = threading.Barrier(3, timeout=30)
    assert crew.map(lambda item: (together.wait(), item)[1], [0, 1, 2]) == [0, 1, 2]
