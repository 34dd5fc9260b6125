"""Pictures out to people who paint elsewhere, and their masks back in.

An export is a folder:

    OUT/pictures/       the pictures, byte for byte
    OUT/masks/          the masks there are, named like the pictures
    OUT/export.jsonl    which picture each is, and which revision was handed out

Masks are put into OUT/masks/ and the folder imported. Any other folder of PNGs named like the
pictures does, too; then neither the pictures' bytes nor the revision can be compared.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from unmask.data.annotation.masks import Mask, mask_from_png
from unmask.data.annotation.names import Names, inside, names_of
from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.queue import Refused, read_queue, refuse, with_states, write_queue
from unmask.data.annotation.store import (
    Annotation,
    Annotations,
    MaskStore,
    Source,
    check_same_picture,
)
from unmask.data.readers.layout import files
from unmask.errors import DatasetError, UnmaskError

EXPORT_FILE = "export.jsonl"
PICTURES, MASKS = "pictures", "masks"

Which = Literal["open", "all"]
Given = Mask | Literal["no_forgery", "skipped"]


class Handed(BaseModel):
    """One picture of an export: which it is, its files within the export, and its revision."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    picture: str
    sha256: str
    revision: int
    file: str
    mask: str


@dataclass(frozen=True)
class Answer:
    """Something handed in.

    Attributes:
        file: what messages call it.
        picture: that it is for, or why there is none.
        read: gives the mask, or what stands for one.
        revision: that was handed out; None where it is not known: then the latest.
        painted_on: SHA-256 of the picture that was painted on, where it is known.
    """

    file: str
    picture: Picture | str
    read: Callable[[], Given]
    revision: int | None = None
    painted_on: str | None = None


@dataclass
class Outcome:
    """What became of the answers: how many were taken or held already, and those refused."""

    taken: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)


def take(
    store: MaskStore,
    answers: Iterable[Answer],
    *,
    annotator: str,
    source: Source,
    empty: Literal["refuse", "no_forgery"] = "refuse",
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Store answers; one that cannot be right is refused and noted, and the others go on.

    The same answer again changes nothing, nor does a mask that comes back as it was handed out. An
    answer to an older revision is refused, unless the newer one is the same annotator's. A picture
    that the data set calls real takes no mask.

    Args:
        store: open for writing.
        answers: of `read_folder`, `read_coco` or `oracle_answers`.
        annotator: who gave them.
        source: how they come in.
        empty: what a mask that marks nothing means.
        advance: called after each.
    """
    done = Outcome()
    for answer in answers:
        picture = answer.picture if isinstance(answer.picture, Picture) else None
        try:
            if _taken(store, answer, annotator, source, empty):
                done.taken += 1
            else:
                done.unchanged += 1
        except UnmaskError as error:
            done.refused.append(
                refuse(store.folder, answer.file, picture, annotator, error.message)
            )
        advance()
    if entries := read_queue(store.folder):
        write_queue(store.folder, with_states(entries, store))
    return done


def _taken(store: MaskStore, answer: Answer, annotator: str, source: Source, empty: str) -> bool:
    if isinstance(answer.picture, str):
        raise DatasetError(f"{answer.picture[:1].upper()}{answer.picture[1:]}.")
    picture = answer.picture
    check_same_picture(picture, answer.painted_on)
    given = answer.read()
    if not isinstance(given, str):
        if not given.any() and empty == "no_forgery":
            given = "no_forgery"
        elif given.any() and picture.label == 0:
            raise DatasetError(
                f"{picture.path} is real in the index, so nothing in it can be manipulated."
            )
    latest = store.latest(picture.sha256)
    known = (latest, *store.history(picture.sha256)[: answer.revision][-1:])
    if any(record is not None and _same(store, record, given) for record in known):
        return False  # held already, or handed out and never changed
    revision = answer.revision
    if revision is None or latest is None or latest.annotator == annotator:
        revision = store.revision(picture.sha256)  # nobody else's answer can be lost
    said: Any = {"revision": revision, "annotator": annotator, "source": source}
    if isinstance(given, str):
        store.answer(picture, given, **said)
    else:
        store.add(picture, given, **said)
    return True


def _same(store: Annotations, record: Annotation, given: Given) -> bool:
    if isinstance(given, str):
        return record.kind == given
    if record.kind != "mask":
        return False
    mask = store.mask(record)
    return mask.shape == given.shape and bool((mask == given).all())


def to_hand_out(
    folder: Path, pictures: Sequence[Picture], which: Which
) -> tuple[list[Picture], list[str]]:
    """The pictures of a store's queue that are still open, or all of queue and store.

    Returns:
        the pictures, in the order of the queue; and why others are missing from `pictures`.
    """
    answers = Annotations(folder)
    wanted = {e.sha256: e.picture for e in with_states(read_queue(folder), answers)
              if which == "all" or e.state == "open"}  # fmt: skip
    if which == "all":
        wanted |= {a.sha256: a.picture for a in answers.all() if a.sha256 not in wanted}
    by_path = {picture.path: picture for picture in pictures}
    found, lost = [], []
    for sha256, path in wanted.items():
        picture = by_path.get(path)
        if picture is None:
            lost.append(f"{path} is no longer among the pictures")
        elif not picture.file.is_file():
            lost.append(f"{path} is gone")
        elif picture.sha256 != sha256:
            lost.append(f"{path} has changed since it was selected")
        else:
            found.append(picture)
    return found, lost


def write_folder(
    out: Path, answers: Annotations, pictures: Sequence[Picture], all_pictures: Sequence[Picture]
) -> None:
    """Hand pictures out as a folder.

    Args:
        out: new or empty.
        answers: the store; its masks are handed out beside the pictures.
        pictures: which.
        all_pictures: of the index, for names that tell them apart.

    Raises:
        DatasetError: `out` holds something, or a stored mask is damaged.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(
            f"{out} is not an empty folder: masks painted there could be lost.",
            "Choose a new folder.",
        )
    names = names_of(all_pictures)
    lines = []
    for picture in pictures:
        handed = Handed(
            picture=picture.path,
            sha256=picture.sha256,
            revision=answers.revision(picture.sha256),
            file=f"{PICTURES}/{inside(picture.path)}",
            mask=f"{MASKS}/{names[picture.path]}.png",
        )
        for name in (handed.file, handed.mask):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture.file, out / handed.file)
        latest = answers.latest(picture.sha256)
        if latest is not None and latest.kind == "mask":
            answers.mask(latest)  # refuses a damaged one
            shutil.copyfile(answers.folder / str(latest.mask), out / handed.mask)
        lines.append(handed.model_dump_json() + "\n")
    out.mkdir(parents=True, exist_ok=True)
    (out / EXPORT_FILE).write_text("".join(lines), "utf-8")


def read_folder(folder: Path, pictures: Sequence[Picture]) -> list[Answer]:
    """The masks in an export, or in any folder of PNG files named like the pictures.

    Raises:
        DatasetError: no folder, no PNG files in it, or a damaged export.jsonl.
    """
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder} of masks.", "Give one, or a COCO file.")
    handed = _handed(folder)
    base = folder / MASKS if (folder / MASKS).is_dir() else folder
    found = files(base, {".png"})
    if not found:
        raise DatasetError(
            f"There are no PNG files in {base}.",
            "Name each mask like its picture: photos/a.jpg has photos/a.png.",
        )
    names = Names(pictures)
    return [_answer(file, base, folder, names, handed) for file in found]


def _answer(
    file: Path, base: Path, folder: Path, names: Names, handed: dict[str, Handed]
) -> Answer:
    name = file.relative_to(base).with_suffix("").as_posix()
    given = handed.get(file.relative_to(folder).as_posix())
    picture = names.find(given.picture if given else name)

    def read() -> Mask:
        assert isinstance(picture, Picture)
        what = f"The mask {file.relative_to(folder).as_posix()}"
        return mask_from_png(file.read_bytes(), size=picture.size, what=what)

    return Answer(
        file.as_posix(),
        picture,
        read,
        given.revision if given else None,
        given.sha256 if given else None,
    )


def _handed(folder: Path) -> dict[str, Handed]:
    path = folder / EXPORT_FILE
    if not path.is_file():
        return {}
    try:
        lines = [Handed.model_validate_json(line) for line in path.read_bytes().splitlines()]
    except ValidationError as error:
        raise DatasetError(
            f"{path} is damaged.", "Delete it: then the masks are matched by their names alone."
        ) from error
    return {line.mask: line for line in lines}


def oracle_answers(pictures: Iterable[Picture]) -> list[Answer]:
    """What the data set itself says: its own masks, and of reals that nothing is manipulated."""
    return [
        Answer(str(picture.mask or picture.path), picture, _Own(picture)) for picture in pictures
    ]


@dataclass(frozen=True)
class _Own:
    picture: Picture

    def __call__(self) -> Given:
        picture = self.picture
        if picture.label == 0:
            return "no_forgery"
        if picture.mask is None:
            raise DatasetError(f"{picture.path} has no mask in the index.")
        try:
            data = picture.mask.read_bytes()
        except OSError as error:
            raise DatasetError(
                f"The mask {picture.mask} cannot be read: {error.strerror or error}."
            ) from error
        return mask_from_png(data, size=picture.size, what=f"The mask {picture.mask}")
