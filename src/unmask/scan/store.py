"""The results file of a scan: one JSON line per input, safe to kill and to continue."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pydantic import ValidationError

from unmask.errors import ConfigError
from unmask.results import Result
from unmask.scan.sources import identity, on_disk, shown


@dataclass(frozen=True, slots=True)
class Recorded:
    """What must still hold for an earlier result to be kept, and where its line is."""

    offset: int
    length: int
    path: str
    status: str
    missing: bool
    bytes: int | None
    sha256: str | None
    weights_sha256: str | None
    settings_sha256: str | None


class ResultsFile:
    """Appends results, each in one write, and reads back those of earlier runs.

    Use `create` for a new file and `resume` to continue one.
    """

    def __init__(self, path: Path, recorded: dict[str, Recorded]) -> None:
        self.path = path
        self._recorded = recorded
        self._out: BinaryIO = open(path, "ab", buffering=0)  # noqa: SIM115  # closed by __exit__
        self._in: BinaryIO = open(path, "rb")  # noqa: SIM115

    @classmethod
    def create(cls, path: Path) -> ResultsFile:
        """Start an empty file; an earlier one of that name is replaced."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            return cls(path, {})
        except OSError as error:
            raise _unwritable(path, error) from error

    @classmethod
    def resume(
        cls,
        path: Path,
        inputs: Iterable[str],
        *,
        weights_sha256: str,
        settings_sha256: str,
        retry_limits: bool = False,
    ) -> ResultsFile:
        """Continue a file: keep what still holds, drop what will be done again.

        Kept are results of `inputs` whose file, weights and settings are the recorded ones, unless
        their status is `error` (or `limit_exceeded` with `retry_limits`); and results of other
        inputs, untouched. Dropped are the rest, lines superseded by a later one for the same input,
        and a last line that a kill tore. The file is replaced as a whole, or not at all.

        Raises:
            ConfigError: a line other than a torn last one is not a result.
        """
        if not path.exists():
            return cls.create(path)
        try:
            recorded = _read(path)
            wanted = {identity(shown(p)): p for p in inputs}
            kept = [
                record
                for key, record in recorded.items()
                if key not in wanted
                or _holds(record, wanted[key], weights_sha256, settings_sha256, retry_limits)
            ]
            offsets = _rewrite(path, kept)
        except OSError as error:
            raise _unwritable(path, error) from error
        return cls(path, {k: r for k, r in offsets.items() if k in wanted})

    def __contains__(self, path: object) -> bool:
        """Whether an input has a result from an earlier run."""
        return isinstance(path, str) and identity(shown(path)) in self._recorded

    def load(self, path: str) -> Result:
        """The earlier result of an input."""
        record = self._recorded[identity(shown(path))]
        self._in.seek(record.offset)
        return Result.from_json(self._in.read(record.length))

    def append(self, result: Result) -> None:
        """Write one line and hand it to the operating system."""
        line = memoryview(result.to_json().encode() + b"\n")
        try:
            while line:
                line = line[self._out.write(line) :]
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._out.close()
        self._in.close()


def _read(path: Path) -> dict[str, Recorded]:
    """The last line of each input, without holding the results in memory."""
    recorded: dict[str, Recorded] = {}
    offset = 0
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, 1):
            if not line.endswith(b"\n"):
                break  # torn by a kill
            if line.strip():
                record = _record(line, offset, f"{path}, line {number}")
                recorded.pop(identity(record.path), None)
                recorded[identity(record.path)] = record
            offset += len(line)
    return recorded


def _record(line: bytes, offset: int, where: str) -> Recorded:
    try:
        result = Result.from_json(line)
    except ValidationError as error:
        raise ConfigError(
            f"{where} is not a result: {error.errors()[0]['msg']}.",
            "Continue only a file that `unmask scan --out` wrote, or choose another --out.",
        ) from error
    run = result.run
    return Recorded(
        offset=offset,
        length=len(line),
        path=result.input.path,
        status=result.status,
        missing="missing" in result.reasons,
        bytes=result.input.bytes,
        sha256=result.input.sha256,
        weights_sha256=run.weights_sha256 if run else None,
        settings_sha256=run.settings_sha256 if run else None,
    )


def _holds(
    record: Recorded, path: str, weights_sha256: str, settings_sha256: str, retry_limits: bool
) -> bool:
    """Whether scanning the input again could give nothing new."""
    if record.status == "error" or (retry_limits and record.status == "limit_exceeded"):
        return False
    if record.weights_sha256 not in (None, weights_sha256):
        return False
    if record.settings_sha256 not in (None, settings_sha256):
        return False
    return _unchanged(record, path)


def _unchanged(record: Recorded, path: str) -> bool:
    """Whether the file is byte for byte what was recorded (as far as it was recorded)."""
    try:
        size = os.stat(path).st_size
        if record.missing or record.bytes != size:
            return False
        return record.sha256 is None or sha256_of(path) == record.sha256
    except FileNotFoundError:
        return record.missing
    except OSError:
        return False


def _rewrite(path: Path, kept: list[Recorded]) -> dict[str, Recorded]:
    """Leave only the kept lines in the file, in their order; gives their new places."""
    moved: dict[str, Recorded] = {}
    partial = path.with_name(path.name + ".partial")
    with open(path, "rb") as old, open(partial, "wb") as new:
        for record in sorted(kept, key=lambda r: r.offset):
            old.seek(record.offset)
            moved[identity(record.path)] = replace(record, offset=new.tell())
            new.write(old.read(record.length))
        new.flush()
        os.fsync(new.fileno())
    os.replace(partial, path)
    return moved


def sha256_of(path: str) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(on_disk(path), "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"The results file {path} cannot be used: {error.strerror or error}.",
        "What was written so far is complete; choose a place with room, or --resume there.",
    )
