"""Scanning: one outcome per input, in order, with bounded look-ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from unmask.errors import MediaError
from unmask.media.decoded import Failure, Media
from unmask.results import InputInfo, Result
from unmask.scan import local
from unmask.scan.local import Plan, scan
from unmask.types import Frame


def no_face(path: str) -> Result:
    return Result(input=InputInfo(path=path), status="not_applicable", reasons=["no_face"])


@dataclass
class Said:
    result: Result
    evidence: tuple[()] = ()
    bands: None = None
    distance: None = None


class Detector:
    weights_sha256 = settings_sha256 = ""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.evidence: set[bool] = set()

    def examine(self, items, *, evidence=False):
        self.batches.append([item.info.path for item in items])
        self.evidence.add(evidence)
        return [Said(no_face(item.info.path)) for item in items]


class Decoder:
    """Gives `frames` frames of `side` pixels per path, and says how far it was asked."""

    def __init__(self, frames: int = 1, side: int = 2) -> None:
        self.asked: list[str] = []
        self.frames, self.side = frames, side

    def map(self, paths: Iterable[str]) -> Iterator[Media | Failure]:
        for path in paths:
            self.asked.append(path)
            image = np.zeros((self.side, self.side, 3), np.uint8)
            yield Media(InputInfo(path=path), (Frame(image),) * self.frames)


def names(count: int) -> list[str]:
    return [f"{index:03}" for index in range(count)]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_one_outcome_per_input_in_order(count):
    outcomes = list(scan(Plan(names(count)), Detector(), Decoder().map))
    assert [outcome.result.input.path for outcome in outcomes] == names(count)
    assert not any(outcome.kept for outcome in outcomes)


def test_batches_close_at_their_number_of_frames():
    detector = Detector()
    list(scan(Plan(names(10)), detector, Decoder(frames=20).map))
    assert [len(batch) for batch in detector.batches] == [4, 4, 2]


def test_batches_close_at_their_size(monkeypatch):
    monkeypatch.setattr(local, "BATCH_BYTES", 3 * 100 * 100 * 5)
    detector = Detector()
    list(scan(Plan(names(12)), detector, Decoder(side=100).map))
    assert [len(batch) for batch in detector.batches] == [5, 5, 2]


def test_nothing_is_decoded_before_it_is_wanted():
    decoder = Decoder(frames=64)
    outcomes = scan(Plan(names(100)), Detector(), decoder.map)
    assert decoder.asked == []
    for number in range(3):  # the next batch, one input here, is decoded meanwhile
        next(outcomes)
        assert decoder.asked == names(number + 2)


def test_a_batch_is_judged_while_the_next_is_decoded():
    detector, decoder = Detector(), Decoder()
    judging, decoded = threading.Event(), threading.Event()
    met: list[bool] = []

    def examine(items, evidence=False):
        judging.set()
        met.append(decoded.wait(10))
        return [Said(no_face(item.info.path)) for item in items]

    def decode(paths):
        for number, item in enumerate(decoder.map(paths)):
            if number == 65:
                met.append(judging.wait(10))
                decoded.set()
            yield item

    detector.examine = examine  # type: ignore[method-assign]
    outcomes = list(scan(Plan(names(70)), detector, decode))
    assert [outcome.result.input.path for outcome in outcomes] == names(70)
    assert met == [True, True, True]


def test_results_do_not_wait_until_the_next_batch_is_full():
    decoder = Decoder()

    def slowly(paths):
        for number, item in enumerate(decoder.map(paths)):
            if number >= 64:
                time.sleep(0.02)
            yield item

    outcomes = scan(Plan(names(128)), Detector(), slowly)
    next(outcomes)
    assert len(decoder.asked) < 128


def test_what_was_judged_is_not_lost_when_decoding_ends():
    detector, ended = Detector(), threading.Event()

    def examine(items, evidence=False):
        assert ended.wait(10)
        return [Said(no_face(item.info.path)) for item in items]

    def broken(paths):
        yield from Decoder().map(names(70))
        ended.set()
        raise ZeroDivisionError

    detector.examine = examine  # type: ignore[method-assign]
    outcomes = scan(Plan(names(80)), detector, broken)
    assert [next(outcomes).result.input.path for _ in range(64)] == names(64)
    with pytest.raises(ZeroDivisionError):
        next(outcomes)


def test_what_breaks_the_detector_reaches_the_caller():
    detector = Detector()

    def broken(items, evidence=False):
        raise ZeroDivisionError

    detector.examine = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        list(scan(Plan(names(70)), detector, Decoder().map))


class Earlier(dict[str, Result]):
    def load(self, path: str) -> Result:
        return self[path]


def test_failures_and_earlier_results_take_their_place_without_decoding():
    decoder, detector = Decoder(), Detector()
    denied = MediaError("unreadable", "permission_denied", "no")
    earlier = Earlier({"001": no_face("001"), "004": no_face("004")})
    plan = Plan(names(5), {"002": denied}, earlier)
    outcomes = list(scan(plan, detector, decoder.map))
    assert [outcome.result.input.path for outcome in outcomes] == names(5)
    assert [outcome.kept for outcome in outcomes] == [False, True, False, False, True]
    assert decoder.asked == ["000", "003"]
    assert detector.batches == [["000", "002", "003"]]


def test_evidence_is_asked_for_only_when_wanted():
    detector = Detector()
    list(scan(Plan(["a"]), detector, Decoder().map))
    assert detector.evidence == {False}
    list(scan(Plan(["a"]), detector, Decoder().map, evidence=True))
    assert detector.evidence == {False, True}


def test_lost_inputs_are_a_fault_not_a_shorter_list():
    with pytest.raises(RuntimeError, match="decoding ended before 001"):
        list(scan(Plan(names(3)), Detector(), lambda paths: Decoder().map(["000"])))
    detector = Detector()
    detector.examine = lambda items, evidence=False: []  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="0 results for 3 inputs"):
        list(scan(Plan(names(3)), detector, Decoder().map))
