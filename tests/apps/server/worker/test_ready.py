"""Batches: full by number, frames or bytes; at once when nothing else is coming."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from unmask.apps.server.contract import Claim, new_id
from unmask.apps.server.worker import ready
from unmask.apps.server.worker.decoding import Decoded
from unmask.apps.server.worker.ready import BATCH_FRAMES, BATCH_ITEMS, Ready
from unmask.media import Media
from unmask.results import InputInfo
from unmask.types import Frame

PIXELS = np.zeros((4, 4, 3), np.uint8)


def decoded(frames=1, kind="analysis", max_frames=None):
    claim = Claim(new_id(), new_id(), None, "a.png", kind, max_frames, 1)
    return Decoded(claim, Media(InputInfo(path="a.png"), (Frame(PIXELS),) * frames))


def filled(*items):
    queue = Ready()
    for item in items:
        queue.put(item)
    return queue


@pytest.fixture
def patient(monkeypatch):
    """Nothing is handed on merely because time passes."""
    monkeypatch.setattr(ready, "LINGER_S", 1e6)


def test_a_lone_input_goes_at_once(patient):
    item = decoded()
    queue = filled(item)
    assert queue.take() == [item]


def test_it_waits_for_company_that_is_coming(patient):
    queue, got = filled(decoded()), []
    queue.expect(True)
    taker = threading.Thread(target=lambda: got.append(queue.take()), daemon=True)
    taker.start()
    taker.join(0.2)
    assert not got
    queue.put(decoded())
    queue.expect(False)
    taker.join(30)
    assert [len(batch) for batch in got] == [2]


def test_but_not_for_long():
    item = decoded()
    queue = filled(item)
    queue.expect(True)  # and nothing ever comes
    assert queue.take() == [item]


@pytest.mark.parametrize(
    ("frames", "size"), [(1, BATCH_ITEMS), (BATCH_FRAMES // 2, 2), (BATCH_FRAMES + 1, 1)]
)
def test_a_batch_is_bounded(patient, frames, size):
    queue = filled(*[decoded(frames) for _ in range(2 * size)])
    queue.expect(True)
    assert queue.full
    assert [len(queue.take()), len(queue.take())] == [size, size]
    assert not queue.full


def test_a_batch_is_bounded_by_its_pixels(patient, monkeypatch):
    monkeypatch.setattr(ready, "BATCH_BYTES", 3 * PIXELS.nbytes)
    queue = filled(*[decoded() for _ in range(4)])
    assert len(queue.take()) == 3


def test_a_batch_is_of_one_kind(patient):
    a, b, few, c, evidence = (
        decoded(), decoded(), decoded(max_frames=2), decoded(), decoded(kind="evidence")
    )  # fmt: skip
    queue = filled(a, b, few, evidence, c)
    assert [queue.take() for _ in range(3)] == [[a, b, c], [few], [evidence]]


def test_evidence_comes_alone(patient):
    queue = filled(*[decoded(kind="evidence") for _ in range(3)])
    assert [len(queue.take()) for _ in range(3)] == [1, 1, 1]


def test_what_is_not_held_is_dropped(patient):
    kept, lost = decoded(), decoded()
    queue = filled(lost, kept)
    queue.drop(lambda item: item is kept)
    assert queue.take() == [kept]


def test_closing_ends_the_wait(patient):
    queue, got = Ready(), []
    taker = threading.Thread(target=lambda: got.append(queue.take()), daemon=True)
    taker.start()
    queue.put(decoded())
    taker.join(30)
    queue.close()
    assert queue.take() == []
    queue.put(decoded())
    assert queue.take() == []
