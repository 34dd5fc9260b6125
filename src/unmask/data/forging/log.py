"""What `unmask synthesize` has finished: one JSON line per record, safe to kill and to continue."""

from __future__ import annotations

import fcntl
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, Protocol, Self, TypeVar

from pydantic import ValidationError

from unmask.errors import DatasetError


class Record(Protocol):
    """Something that was finished for the source of that name."""

    @property
    def name(self) -> str: ...

    @classmethod
    def model_validate_json(cls, json_data: bytes) -> Self: ...

    def model_dump_json(self) -> str: ...


R = TypeVar("R", bound=Record)


class RecordLog(Generic[R]):
    """Appends records of one kind and knows the last one of every name; a context manager.

    Raises:
        DatasetError: another process has it open, or a line other than a torn last one is no
            record.
    """

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path = path
        self.records: dict[str, R] = {}
        self._file: BinaryIO = open(path, "a+b", buffering=0)  # noqa: SIM115  # closed by __exit__
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read(kind)
        except OSError as error:
            self._file.close()
            raise DatasetError(
                f"Another `unmask synthesize` is writing to {path.parent}.", "Wait for it to end."
            ) from error
        except BaseException:
            self._file.close()
            raise

    def _read(self, kind: type[R]) -> None:
        whole = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    self._file.truncate(whole)  # torn by a kill; the next line must not join it
                    break
                try:
                    record = kind.model_validate_json(line)
                except ValidationError as error:
                    raise DatasetError(
                        f"{self.path}, line {number}, is not a record of `unmask synthesize`.",
                        "Delete that line to have its picture done again.",
                    ) from error
                self.records[record.name] = record
                whole += len(line)

    def append(self, record: R) -> None:
        """Hand one record to the operating system; what it tells of is written already."""
        line = memoryview(record.model_dump_json().encode() + b"\n")
        while line:
            line = line[self._file.write(line) :]
        self.records[record.name] = record

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
