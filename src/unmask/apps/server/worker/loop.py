"""The worker's second half: judges what is decoded, and settles every claim it holds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from unmask.apps.server.contract import Claim, JobStore
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.worker.decoding import TASK, Decoded, Decoders
from unmask.apps.server.worker.intake import Intake
from unmask.apps.server.worker.leases import Heartbeat, Leases
from unmask.apps.server.worker.ready import Ready
from unmask.errors import UnmaskError
from unmask.media.decoded import Failure, Media
from unmask.results import Result

if TYPE_CHECKING:
    from unmask.inference.detector import Examined

SETTLE_TRIES_S = (0.5, 2.0)
"""Pauses before a store that did not answer is told a result again."""


class Examiner(Protocol):
    """The part of `judging.Judge` that the loop needs."""

    @property
    def model(self) -> str: ...

    @property
    def weights_sha256(self) -> str: ...

    def examine(
        self, items: Sequence[Media | Failure], *, max_frames: int, evidence: bool = False
    ) -> Sequence[Examined]: ...

    def works(self) -> bool: ...


class BrokenDeviceError(UnmaskError):
    """The device stopped computing; only a new process can use it again."""


class Loop:
    """One worker: claims, decodes, judges, settles, until told to stop.

    Decoding of later claims goes on while earlier ones are judged. Whatever ends it in good order,
    no claim stays behind: what is not settled is given back.

    Args:
        store: of the jobs; used from several threads.
        judge: has the model.
        worker: id of this worker, fresh with each start.
        settings: of the service.
        jobs: decoding processes.
        say: tells a person.
        task: "module:function" that decodes one path.
    """

    def __init__(
        self,
        store: JobStore,
        judge: Examiner,
        *,
        worker: str,
        settings: ServerSettings,
        jobs: int,
        say: Callable[[str], None],
        task: str = TASK,
    ) -> None:
        self._store, self._judge, self._worker = store, judge, worker
        self._settings, self._say = settings, say
        self._stopping = False  # a flag, not an event: signal handlers may set it at any point
        self._leases, self._ready = Leases(), Ready()
        self._judging: list[Claim] = []
        # The judge does not wait for the disk under the database; one thread keeps the order.
        self._recorder = ThreadPoolExecutor(1, "recorder")
        decoders = Decoders(jobs, max_frames=settings.max_frames, task=task)
        self._intake = Intake(
            store, worker, self._leases, self._ready, decoders,
            jobs=jobs, stopping=lambda: self._stopping, say=say,
        )  # fmt: skip
        self._heartbeat = Heartbeat(store, worker, self._leases, lease_s=settings.lease_s, say=say)

    def stop(self) -> None:
        """End `run` when the batch in hand is judged; from any thread or signal handler."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping

    def give_back(self) -> None:
        """Give back all that is not settled; from any thread."""
        for claim in self._leases.all():
            try:
                self._store.give_back(claim)
            except Exception as error:  # the lease will run out
                self._say(f"a job could not be given back: {type(error).__name__}: {error}")
            self._leases.remove(claim)

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            UnmaskError: no file can be decoded, or the device stopped computing. The batch in
                hand is then not given back but lost, which counts against it.
        """
        self._store.register(
            self._worker, model=self._judge.model, weights_sha256=self._judge.weights_sha256
        )
        self._intake.start()
        self._heartbeat.start()
        try:
            while not self._stopping and (batch := self._ready.take()):
                self._judging = [decoded.claim for decoded in batch]
                self._work(batch)
                self._judging = []
                del batch  # its pixels must not stay while the next is awaited
        finally:
            self._stopping = True
            self._intake.join()
            self._recorder.shutdown()
            for claim in self._judging:
                self._leases.remove(claim)
            self.give_back()
            self._heartbeat.stop()
            self._retire()
        if self._intake.error is not None:
            raise self._intake.error

    def _retire(self) -> None:
        try:
            self._store.retire(self._worker)
        except Exception as error:  # its leases run out
            self._say(f"the store does not answer: {type(error).__name__}: {error}")

    def _frames(self, claim: Claim) -> int:
        return claim.max_frames or self._settings.max_frames

    def _work(self, batch: list[Decoded]) -> None:
        held = [decoded for decoded in batch if decoded.claim in self._leases]
        batch = sorted(held, key=lambda decoded: decoded.claim.seq)  # as the store wants it told
        if not batch:
            return
        if batch[0].claim.kind == "evidence":
            self._make_evidence(batch[0])
            return
        self._recorder.submit(self._tell_scoring, [decoded.claim for decoded in batch])
        self._analyse(batch)

    def _analyse(self, batch: list[Decoded]) -> None:
        items, frames = [decoded.item for decoded in batch], self._frames(batch[0].claim)
        try:
            judged = self._judge.examine(items, max_frames=frames)
            if len(judged) != len(batch):
                raise RuntimeError(f"{len(judged)} results for {len(batch)} inputs")
        except Exception as error:  # one bad input must not take the others with it
            self._check_device()
            if len(batch) > 1:
                for decoded in batch:
                    self._analyse([decoded])
                return
            told = f"unmask failed on this file: {type(error).__name__}: {error}"
            claim = batch[0].claim
            self._say(f"job {claim.job}: {told}")
            failure = partial(self._store.fail, claim, "internal_error", told)
            self._recorder.submit(self._settle, claim, failure)
            return
        if any("internal_error" in examined.result.reasons for examined in judged):
            self._check_device()
        finished = [(d.claim, e.result) for d, e in zip(batch, judged, strict=True)]
        self._recorder.submit(self._finish, finished)

    def _make_evidence(self, decoded: Decoded) -> None:
        claim = decoded.claim
        folder = self._settings.data / claim.evidence_folder
        try:
            self._write_evidence(decoded, folder)
        except Exception as error:  # costs this claim its evidence, and nobody else anything
            self._check_device()
            told = str(error) if isinstance(error, UnmaskError) else f"unmask failed: {error}"
            self._say(f"evidence of job {claim.job}: {type(error).__name__}: {error}")
            self._settle(claim, partial(self._store.evidence_failed, claim, told))
            return
        ready = partial(self._store.evidence_ready, claim, claim.evidence_folder)
        if not self._settle(claim, ready):
            self._discard(claim, folder)

    def _discard(self, claim: Claim, folder: Path) -> None:
        """Remove evidence that nobody will see; if that cannot be found out, upkeep does it."""
        try:
            job = self._store.job(claim.job)
        except Exception as error:
            self._say(f"the store does not answer: {type(error).__name__}: {error}")
            return
        if job is None or job.evidence_dir != claim.evidence_folder:
            shutil.rmtree(folder, ignore_errors=True)

    def _write_evidence(self, decoded: Decoded, folder: Path) -> None:
        from unmask.apps.server.worker.evidence import command_of, recorded_with, write_evidence

        claim = decoded.claim
        job = self._store.job(claim.job)
        if job is None or job.result is None:
            raise UnmaskError("The result is gone, so there is no evidence of it.")
        (examined,) = self._judge.examine(
            [decoded.item], max_frames=self._frames(claim), evidence=True
        )
        examined = recorded_with(examined, job.result)
        command = command_of(job.result, self._settings)
        write_evidence(folder, claim.job, examined, command=command)

    def _check_device(self) -> None:
        if not self._judge.works():
            raise BrokenDeviceError(
                "The device no longer computes; this worker ends.",
                "A new one is started; if that happens often, look at the device's own log.",
            )

    def _tell_scoring(self, claims: Sequence[Claim]) -> None:
        """Say how far these are, which may also be lost; drop those whose lease is."""
        try:
            with self._store.together():
                held = [self._store.progress(claim, "scoring", 0.5) for claim in claims]
        except Exception as error:
            self._say(f"the store does not answer: {type(error).__name__}: {error}")
            return
        for claim, still in zip(claims, held, strict=True):
            if not still:
                self._leases.remove(claim)

    def _finish(self, finished: Sequence[tuple[Claim, Result]]) -> None:
        """Record the results of a batch at once; where that fails, one by one."""
        try:
            with self._store.together():
                for claim, result in finished:
                    self._store.finish(claim, result)
        except Exception as error:
            self._say(f"{len(finished)} jobs not recorded: {type(error).__name__}: {error}")
            for claim, result in finished:
                self._settle(claim, partial(self._store.finish, claim, result))
            return
        for claim, _ in finished:
            self._leases.remove(claim)

    def _settle(self, claim: Claim, settle: Callable[[], bool]) -> bool:
        """Record an outcome, again if need be; false where the lease is lost.

        If the store stays away the lease runs out, and the job is done anew.
        """
        for pause in (*SETTLE_TRIES_S, None):
            try:
                settled = settle()
                break
            except Exception as error:
                self._say(f"job {claim.job} not recorded: {type(error).__name__}: {error}")
                settled = False
                if pause is not None:
                    time.sleep(pause)
        self._leases.remove(claim)
        return settled
