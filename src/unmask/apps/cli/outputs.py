"""Where a scan may write: never over an input, never over what unmask did not write itself."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.errors import ConfigError

if TYPE_CHECKING:
    from typing import BinaryIO

REPORT_HEAD_BYTES = 4096
REPORT_MARK = re.compile(rb'<meta name="generator" content="unmask |<title>unmask report, ')
"""The first is in every report, the second in those of versions that had no generator."""
RESULT_START = b'{"schema":"unmask.result/1",'
MAX_LINE_BYTES = 2**26
OTHER_PLACE = "Nothing was written. Choose another file."


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files and folders a scan was told to write."""

    out: Path | None
    report: Path | None
    heatmaps: Path | None
    resume: bool
    overwrite: bool

    def check(self) -> None:
        """Refuse, before anything is looked at, what cannot be meant.

        Raises:
            ConfigError: the options contradict each other, or --out exists and neither
                --overwrite nor --resume is given.
        """
        self._check_options()
        if self.report is not None and self.report.suffix.lower() not in (".html", ".htm"):
            raise ConfigError(
                f"--report {self.report}: a report is an .html file; did you forget the value of "
                "--report?",
                "Name the page to write, e.g. --report report.html.",
            )
        if self.out is not None and self.report is not None and _same(self.out, self.report):
            raise ConfigError(f"--out and --report are the same file, {self.out}.", OTHER_PLACE)

    def check_against(self, inputs: Sequence[str]) -> None:
        """Refuse, before anything is decoded, to write over an input or a foreign file.

        Raises:
            ConfigError: an output is an input, whatever links or spellings lead to it; heatmaps
                would lie among the inputs; or an output exists and unmask did not write it.
        """
        named = {"--out": self.out, "--report": self.report}
        places = {option: path for option, path in named.items() if path is not None}
        files = {key: option for option, path in places.items() for key in _keys(path)}
        if files:
            for key in (key for path in inputs for key in _keys(path)):
                if key in files:
                    option = files[key]
                    raise ConfigError(f"{option} {places[option]} is also an input.", OTHER_PLACE)
        if self.heatmaps is not None:
            _check_heatmaps(self.heatmaps, inputs)
        if self.report is not None and not _is_report(self.report):
            raise ConfigError(
                f"{self.report} exists and is not a report of unmask, so --report leaves it alone.",
                OTHER_PLACE,
            )
        if self.out is not None and not _holds_results(self.out):
            raise ConfigError(
                f"{self.out} is not a results file of unmask, so --overwrite and --resume leave it "
                "alone.",
                OTHER_PLACE,
            )

    def _check_options(self) -> None:
        if self.resume and self.overwrite:
            raise ConfigError("--resume and --overwrite exclude each other.", "Choose one.")
        if self.out is None:
            if self.resume or self.overwrite:
                raise ConfigError(
                    "--resume and --overwrite need --out.",
                    "Name the results file with --out FILE.",
                )
        elif self.out.exists() and not (self.resume or self.overwrite):
            raise ConfigError(
                f"{self.out} exists already.",
                "Continue it with --resume, replace it with --overwrite, or choose another --out.",
            )


def _check_heatmaps(folder: Path, inputs: Sequence[str]) -> None:
    place = os.path.realpath(folder)
    if any(os.path.dirname(os.path.realpath(path)) == place for path in inputs):
        raise ConfigError(
            f"--heatmaps {folder} is a folder with inputs in it.",
            "Nothing was written. Choose a folder of their own for the heatmaps.",
        )


def _is_report(path: Path) -> bool:
    """Whether a file is a report of any version, or holds nothing, or is not there."""
    if not path.is_file():
        return True
    with _opened(path) as handle:
        head = handle.read(REPORT_HEAD_BYTES)
    return not head.strip() or REPORT_MARK.search(head) is not None


def _holds_results(path: Path) -> bool:
    """Whether a file begins with a result, whole or torn by a kill, or holds nothing at all."""
    if not path.is_file():
        return True
    from pydantic import ValidationError

    from unmask.results import Result

    with _opened(path) as handle:
        while line := handle.readline(MAX_LINE_BYTES):
            if not line.strip():
                continue
            torn = not line.endswith(b"\n")
            if torn and (line.startswith(RESULT_START) or RESULT_START.startswith(line)):
                return True
            try:
                Result.from_json(line)
            except ValidationError:
                return False
            return True
    return True


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(
            f"{path} exists and cannot be read: {error.strerror}.", OTHER_PLACE
        ) from error


def _keys(path: str | Path) -> list[object]:
    """What two names of one file have in common: the place links lead to, and the file itself."""
    keys: list[object] = [os.path.realpath(path)]
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return keys
    return [*keys, (status.st_dev, status.st_ino)]


def _same(first: Path, second: Path) -> bool:
    return not {*_keys(first)}.isdisjoint(_keys(second))
