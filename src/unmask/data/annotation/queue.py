"""What people are asked to paint, in which order, and what became of it.

FOLDER/queue.jsonl      one `Entry` per line, the most wanted first
FOLDER/pictures.json    where the pictures are
FOLDER/refused.jsonl    what was handed in and not taken
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.store import Annotations
from unmask.data.atomic import replace_text
from unmask.errors import ConfigError, DatasetError

QUEUE_FILE = "queue.jsonl"
HOME_FILE = "pictures.json"
REFUSED_FILE = "refused.jsonl"

State = Literal["open", "mask", "no_forgery", "skipped"]


class Entry(BaseModel):
    """One picture that was selected.

    Attributes:
        rank: from 1, over all selections of this store.
        picture: its path within the index or folder.
        sha256: of its bytes when it was selected.
        rule: that selected it.
        score: by that rule, comparable within one selection; None for rules without one.
        state: open, or the kind of its latest answer when the file was last written. The store is
            what counts: see `with_states`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(ge=1)
    picture: str
    sha256: str
    rule: str
    score: FiniteFloat | None
    state: State = "open"


class Refused(BaseModel):
    """Something handed in that was not taken.

    Attributes:
        file: what was handed in.
        picture, sha256: that it was for; None where there is no such picture.
        annotator, time: who handed it in, and when.
        reason: in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    picture: str | None
    sha256: str | None
    annotator: str
    time: AwareDatetime
    reason: str


R = TypeVar("R", bound=BaseModel)


def read_queue(folder: Path) -> list[Entry]:
    """The entries in their order; none where nothing was selected yet.

    Raises:
        DatasetError: a line is no entry.
    """
    return _lines(folder / QUEUE_FILE, Entry)


def write_queue(folder: Path, entries: Sequence[Entry]) -> Path:
    """Write the queue, whole or not at all, and return its path."""
    path = folder / QUEUE_FILE
    replace_text(path, "".join(entry.model_dump_json() + "\n" for entry in entries))
    return path


def with_states(entries: Sequence[Entry], answers: Annotations) -> list[Entry]:
    """The entries with what the store says now of each."""
    return [
        entry.model_copy(update={"state": latest.kind if latest else "open"})
        for entry in entries
        for latest in (answers.latest(entry.sha256),)
    ]


def extended(
    entries: Sequence[Entry], rule: str, chosen: Sequence[tuple[Picture, float | None]]
) -> list[Entry]:
    """The queue with newly chosen pictures at its end, in the order given."""
    new = [
        Entry(rank=rank, picture=p.path, sha256=p.sha256, rule=rule, score=score)
        for rank, (p, score) in enumerate(chosen, len(entries) + 1)
    ]
    return [*entries, *new]


def budget_of(text: str, fakes: int) -> int:
    """How many masks `40` or `1.5%` are; percent of `fakes` training fakes, rounded down.

    Raises:
        ConfigError: not such a text, or less than one picture.

    >>> budget_of("40", 900), budget_of("3%", 950)
    (40, 28)
    """
    percent = text.strip().endswith("%")
    try:
        number = Decimal(text.strip().removesuffix("%"))
    except InvalidOperation:
        number = Decimal(-1)
    whole = number.is_finite() and (percent or number == int(number))
    if not whole or number <= 0 or (percent and number > 100):
        raise ConfigError(
            f"The budget {text!r} cannot be.",
            "Give a number of masks, or percent of the training fakes: 40, or 1%.",
        )
    if not percent:
        return int(number)
    count = int(number * fakes / 100)
    if not count:
        raise ConfigError(
            f"{text.strip()} of {fakes} pictures is less than one.",
            "Give a larger share, or a number: --budget 1.",
        )
    return count


def write_home(folder: Path, pictures: Path) -> None:
    """Keep where the pictures are: an index or a folder, relative to the store."""
    place = Path(os.path.relpath(pictures.resolve(), folder.resolve())).as_posix()
    replace_text(folder / HOME_FILE, json.dumps({"pictures": place}) + "\n")


def read_home(folder: Path, *, check: bool = True) -> Path:
    """Where the pictures are, or were.

    Raises:
        DatasetError: the store does not know, or with `check` there is nothing any more.
    """
    path = folder / HOME_FILE
    try:
        place = json.loads(path.read_text("utf-8"))["pictures"]
        home = Path(os.path.normpath(folder.resolve() / place))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{folder} does not say which pictures it is about.",
            "Name them with --index, or make the folder with `unmask annotate select`.",
        ) from error
    if check and not home.exists():
        raise DatasetError(
            f"The pictures of {folder} are no longer at {home}.",
            "Name with --index where they are now: masks are kept by the pictures' bytes.",
        )
    return home


def refuse(
    folder: Path, file: str, picture: Picture | None, annotator: str, reason: str
) -> Refused:
    """Note what was not taken."""
    try:
        sha256 = picture.sha256 if picture else None
    except DatasetError:
        sha256 = None
    record = Refused(
        file=file,
        picture=picture.path if picture else None,
        sha256=sha256,
        annotator=annotator,
        time=datetime.now(UTC),
        reason=reason,
    )
    with (folder / REFUSED_FILE).open("a", encoding="utf-8") as log:
        log.write(record.model_dump_json() + "\n")
    return record


def standing_refusals(folder: Path, answers: Annotations) -> list[Refused]:
    """The last refusal of every file, unless its picture was answered afterwards.

    Raises:
        DatasetError: a line is no such record.
    """
    last = {record.file: record for record in _lines(folder / REFUSED_FILE, Refused)}
    kept = []
    for record in last.values():
        answer = answers.latest(record.sha256) if record.sha256 else None
        if answer is None or answer.time < record.time:
            kept.append(record)
    return kept


def _lines(path: Path, kind: type[R]) -> list[R]:
    if not path.is_file():
        return []
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            break  # torn by a kill
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise DatasetError(
                f"{path}, line {number}, is not of `unmask annotate`.", "Delete that line."
            ) from error
    return records
