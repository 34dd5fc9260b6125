"""What a long command has finished: one JSON line per record, safe to kill and to continue."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, Self, TypeVar

from pydantic import BaseModel, ValidationError

from unmask.errors import DatasetError

PASSING = frozenset(
    {"missing", "permission_denied", "timeout", "out_of_memory", "decoder_crashed"}
    | {"internal_error"}
)
"""Reasons for a failure that may not hold the next time; such work is done again."""

R = TypeVar("R", bound=BaseModel)


class RecordLog(Generic[R]):
    """Appends records of one kind and knows the last one of every name; a context manager.

    Only one process at a time may have it open.

    Args:
        path: of the file; made where there is none.
        kind: of the records.
        name: what of a record tells it from others; a later one takes the place of an earlier.
        command: whose work it is, for messages.

    Raises:
        DatasetError: another process has it open, or a line other than a torn last one is no
            record.
    """

    def __init__(
        self, path: Path, kind: type[R], *, name: Callable[[R], str], command: str
    ) -> None:
        self.path = path
        self.records: dict[str, R] = {}
        self._kind, self._name, self._command = kind, name, command
        self._file: BinaryIO = open(path, "a+b", buffering=0)  # noqa: SIM115  # closed by __exit__
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(
                f"Another `{self._command}` is writing to {self.path.parent}.",
                "Wait for it to end, or choose another output folder.",
            ) from error

    def _read(self) -> None:
        whole = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    self._file.truncate(whole)  # torn by a kill; the next line must not join it
                    break
                try:
                    record = self._kind.model_validate_json(line)
                except ValidationError as error:
                    raise DatasetError(
                        f"{self.path}, line {number}, is not a record of `{self._command}`.",
                        "Delete that line to have its work done again.",
                    ) from error
                self.records[self._name(record)] = record
                whole += len(line)

    def append(self, record: R) -> None:
        """Hand one record to the operating system; what it tells of is written already."""
        line = memoryview(record.model_dump_json().encode() + b"\n")
        while line:
            line = line[self._file.write(line) :]
        self.records[self._name(record)] = record

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
