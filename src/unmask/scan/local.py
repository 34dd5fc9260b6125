"""Scan on one machine: decoding in worker processes, judging in this one, results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from unmask.errors import MediaError
from unmask.media.decoded import Failure, Media
from unmask.results import InputInfo, Result
from unmask.scan.sources import shown

if TYPE_CHECKING:
    from unmask.inference.explain import Evidence

BATCH_FRAMES = 64
BATCH_BYTES = 256 * 2**20
BATCH_ITEMS = 64


class Examined(Protocol):
    """What a detector says about one input."""

    @property
    def result(self) -> Result: ...

    @property
    def evidence(self) -> Sequence[Evidence]: ...

    @property
    def bands(self) -> tuple[float, ...] | None: ...

    @property
    def distance(self) -> float | None: ...


class Examiner(Protocol):
    """The part of `unmask.inference.Detector` that a scan needs."""

    @property
    def weights_sha256(self) -> str: ...

    @property
    def settings_sha256(self) -> str: ...

    def examine(
        self, items: Sequence[Media | Failure], *, evidence: bool = False
    ) -> Sequence[Examined]: ...


class Earlier(Protocol):
    """Results of earlier runs: the part of `unmask.scan.store.ResultsFile` that is read."""

    def __contains__(self, path: object, /) -> bool: ...

    def load(self, path: str) -> Result: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """One input's result, and what to look at beside it.

    Attributes:
        result: of this input.
        evidence: per face; empty when none was asked for, or the result is from an earlier run.
        kept: the result is from an earlier run.
        bands: log10 band energies of the deciding face; None unless it was scored now.
        distance: of its features from what the network was measured on; None as above, or where
            that is not known.
    """

    result: Result
    evidence: tuple[Evidence, ...] = ()
    kept: bool = False
    bands: tuple[float, ...] | None = None
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for which input.

    Attributes:
        paths: all inputs, in order.
        failures: of those, the ones that need no decoding to know they fail.
        earlier: holds the results of those that were done before; None when there are none.
        limits: of decoding, those that are not the defaults; recorded with each new result.
    """

    paths: Sequence[str]
    failures: Mapping[str, MediaError] = field(default_factory=dict)
    earlier: Earlier | None = None
    limits: Mapping[str, int | float] = field(default_factory=dict)

    def load(self, path: str) -> Result | None:
        """The earlier result of an input, if there is one."""
        return self.earlier.load(path) if self.earlier and path in self.earlier else None

    def needs_decoding(self, path: str) -> bool:
        """Whether only the file's content can tell."""
        return path not in self.failures and not (self.earlier and path in self.earlier)


Decode = Callable[[Iterable[str]], Iterator[Media | Failure]]


def scan(
    plan: Plan, detector: Examiner, decode: Decode, *, evidence: bool = False
) -> Iterator[Outcome]:
    """Judge every input of a plan, in its order, exactly one outcome each.

    One batch is judged while the next one is decoded. Memory: a batch is closed at `BATCH_FRAMES`
    frames, `BATCH_ITEMS` inputs or `BATCH_BYTES` of pixels, whichever comes first, so at most two
    such and one more input each are held here, beside the look-ahead of `decode`. It does not grow
    with the number of inputs.

    Args:
        plan: the inputs.
        detector: judges the frames, in one thread.
        decode: paths to frames, one per path and in order (`DecodePool.map`).
        evidence: also give heatmaps and the like.
    """
    batch: list[Media | Failure | Result] = []
    frames = pixels = 0
    begun: Future[list[Outcome]] | None = None
    with ThreadPoolExecutor(1, "judge") as judge:
        try:
            for item in _items(plan, decode):
                batch.append(item)
                if isinstance(item, Media):
                    frames += len(item.frames)
                    pixels += sum(frame.image.nbytes for frame in item.frames)
                full = frames >= BATCH_FRAMES or pixels >= BATCH_BYTES or len(batch) >= BATCH_ITEMS
                done: list[Outcome] = []
                if begun is not None and (full or begun.done()):
                    done, begun = begun.result(), None
                if full:
                    begun = judge.submit(_judge, batch, detector, evidence, plan.limits)
                    batch, frames, pixels = [], 0, 0
                yield from done
        except Exception:  # of decoding: what was judged meanwhile is not lost with it
            if begun is not None:
                yield from begun.result()
            raise
        if begun is not None:
            yield from begun.result()
        yield from judge.submit(_judge, batch, detector, evidence, plan.limits).result()


def _items(plan: Plan, decode: Decode) -> Iterator[Media | Failure | Result]:
    """Each input as it is before judging: decoded, failed, or done in an earlier run."""
    decoded = iter(decode(path for path in plan.paths if plan.needs_decoding(path)))
    for path in plan.paths:
        earlier = plan.load(path)
        if earlier is not None:
            yield earlier
        elif path in plan.failures:
            yield Failure(InputInfo(path=shown(path)), plan.failures[path])
        else:
            item = next(decoded, None)
            if item is None:
                raise RuntimeError(f"decoding ended before {shown(path)}")
            yield item


def _judge(
    batch: Sequence[Media | Failure | Result],
    detector: Examiner,
    evidence: bool,
    limits: Mapping[str, int | float],
) -> list[Outcome]:
    fresh = [item for item in batch if not isinstance(item, Result)]
    judged = list(detector.examine(fresh, evidence=evidence)) if fresh else []
    if len(judged) != len(fresh):
        raise RuntimeError(f"the detector gave {len(judged)} results for {len(fresh)} inputs")
    answers = iter(judged)
    return [
        Outcome(item, kept=True) if isinstance(item, Result) else _outcome(next(answers), limits)
        for item in batch
    ]


def _outcome(answer: Examined, limits: Mapping[str, int | float]) -> Outcome:
    return Outcome(
        _with_limits(answer.result, limits),
        tuple(answer.evidence),
        bands=answer.bands,
        distance=answer.distance,
    )


def _with_limits(result: Result, limits: Mapping[str, int | float]) -> Result:
    """Record the limits, of which the detector knows nothing, in the result's run."""
    if not limits or result.run is None:
        return result
    run = result.run.model_copy(update={"limits": dict(limits)})
    return result.model_copy(update={"run": run})
