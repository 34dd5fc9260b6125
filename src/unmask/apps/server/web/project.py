"""The annotation project that the Annotate page works on: its queue, pictures and mask store."""

from __future__ import annotations

import importlib.util
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unmask.apps.server.api.problem import ProblemError
from unmask.errors import MissingExtraError, UnmaskError

if TYPE_CHECKING:
    from unmask.data.annotation.masks import Mask
    from unmask.data.annotation.pictures import Picture
    from unmask.data.annotation.queue import Entry
    from unmask.data.annotation.store import Annotation, Annotations, MaskStore

LOCK_TRIES, LOCK_PAUSE_S = 20, 0.1
T = TypeVar("T")


class Project:
    """A store of `unmask annotate` and its pictures. Its methods block.

    The store is opened for every answer and closed again, so that `unmask annotate` can be used
    beside the service.

    Args:
        folder: of the store, made by `unmask annotate select`.

    Raises:
        MissingExtraError: the tables of the data extra are not installed.
    """

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("polars") is None:
            raise MissingExtraError("The Annotate page", "data", "polars")
        self.folder = folder
        self._turn = threading.Lock()
        self._pictures: tuple[tuple[Path, float], dict[str, Picture]] | None = None

    def answers(self) -> Annotations:
        """What the store holds now."""
        from unmask.data.annotation.store import Annotations

        return self._said(lambda: Annotations(self.folder))

    def queue(self, answers: Annotations) -> list[Entry]:
        """All selected pictures, in their order, with what `answers` says of each."""
        from unmask.data.annotation.queue import read_queue, with_states

        return self._said(lambda: with_states(read_queue(self.folder), answers))

    def picture(self, sha256: str, answers: Annotations | None = None) -> Picture:
        """A selected picture; `answers` are read anew where they are not at hand.

        Raises:
            ProblemError: 404 it is not in the queue; 422 its file is gone or changed.
        """
        entries = self.queue(self.answers() if answers is None else answers)
        entry = next((e for e in entries if e.sha256 == sha256), None)
        if entry is None:
            raise ProblemError("not-found", "There is no such picture in the queue.")
        known = self._said(self.pictures).get(entry.picture)
        if known is None:
            raise _gone(entry.picture)
        found = replace(known)  # a fresh one: its hash is that of the bytes as they are now
        if self._said(lambda: found.sha256) != sha256:
            raise ProblemError(
                "invalid-request", f"{entry.picture} changed since it was selected. Select again."
            )
        return found

    def pictures(self) -> dict[str, Picture]:
        """The pictures the project is about, by their paths within it; read again when changed."""
        from unmask.data.annotation.pictures import read_pictures
        from unmask.data.annotation.queue import read_home

        home = read_home(self.folder)
        mark = (home, home.stat().st_mtime)
        if self._pictures is None or self._pictures[0] != mark:
            self._pictures = mark, {picture.path: picture for picture in read_pictures(home)}
        return self._pictures[1]

    def size(self, picture: Picture) -> tuple[int, int]:
        """(width, height) of a picture in pixels, upright."""
        return self._said(lambda: picture.size)

    def mask(self, record: Annotation, answers: Annotations) -> Mask:
        """The mask of an answer, as it was stored."""
        return self._said(lambda: answers.mask(record))

    def shown(self, picture: Picture) -> bytes:
        """A picture as PNG, upright: the very pixels that a model is trained on."""
        from PIL import Image

        from unmask.media import Failure, try_decode

        media = try_decode(picture.file, max_frames=1)
        if isinstance(media, Failure):
            raise ProblemError("invalid-request", f"{picture.path}: {media.error.message}")
        file = io.BytesIO()
        Image.fromarray(media.frames[0].image).save(file, "PNG", compress_level=1)
        return file.getvalue()

    def coco(self) -> dict[str, Any]:
        """All queued pictures and their masks as a COCO document."""
        from unmask.data.annotation.coco import coco_document
        from unmask.data.annotation.exchange import to_hand_out

        def document() -> dict[str, Any]:
            chosen, _ = to_hand_out(self.folder, list(self.pictures().values()), "all")
            return coco_document(self.answers(), chosen)

        return self._said(document)

    def write(self, answer: Callable[[MaskStore], Annotation]) -> Annotation:
        """Open the store, let `answer` add to it, and bring the queue's file up to date.

        Raises:
            ConflictError: somebody else answered before.
            ProblemError: 422 the answer cannot be taken; 503 another process holds the store.
        """
        from unmask.data.annotation.queue import read_queue, with_states, write_queue
        from unmask.data.annotation.store import ConflictError

        with self._turn, self._open() as store:
            try:
                record = answer(store)
            except ConflictError:
                raise
            except UnmaskError as error:
                raise self._problem(error) from error
            write_queue(self.folder, with_states(read_queue(self.folder), store))
            return record

    def _open(self) -> MaskStore:
        from unmask.data.annotation.store import MaskStore

        for attempt in range(LOCK_TRIES):
            try:
                return MaskStore(self.folder)
            except UnmaskError as error:
                if not isinstance(error.__cause__, BlockingIOError):
                    raise self._problem(error) from error
                if attempt < LOCK_TRIES - 1:
                    time.sleep(LOCK_PAUSE_S)
        raise ProblemError(
            "store-unavailable",
            "`unmask annotate` is writing to the project. Try again in 2 s.",
            headers={"Retry-After": "2"},
        )

    def _said(self, read: Callable[[], T]) -> T:
        """What `read` gives; a damaged project becomes a problem that names no folder."""
        try:
            return read()
        except UnmaskError as error:
            raise self._problem(error) from error

    def _problem(self, error: UnmaskError) -> ProblemError:
        said = f"{error.message} {error.hint or ''}".strip()
        said = said.replace(f"{self.folder}/", "").replace(str(self.folder), "the project")
        return ProblemError("invalid-request", said)


def _gone(picture: str) -> ProblemError:
    return ProblemError("invalid-request", f"{picture} is no longer among the pictures.")


def counts(entries: Sequence[Entry]) -> dict[str, int]:
    """How many entries are in each state; every state is there."""
    found = Counter(entry.state for entry in entries)
    return {state: found[state] for state in ("open", "mask", "no_forgery", "skipped")}


@lru_cache(maxsize=4)
def project_of(folder: Path) -> Project:
    """The project in a folder; one object per folder, so that its answers take turns."""
    return Project(folder)
