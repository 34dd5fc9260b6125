"""A few forgeries of every kind of every family, to be looked at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unmask.data.forging.forgery import Settings, Task
from unmask.data.forging.plan import inputs_of, plan_of
from unmask.data.forging.reals import drawn
from unmask.data.forging.workers import Setup, bench
from unmask.data.forging.workshop import Specimen, Workshop
from unmask.data.index import Index
from unmask.errors import DatasetError, ShapeError
from unmask.media import Limits
from unmask.synthesis.families import FamilySpec, parse_family, variants

FACES = 12
"""Pictures that are looked at, unless the settings limit them."""
ROWS = 2
"""Examples of every kind."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Examples of one family, or of one kind of it.

    Attributes:
        name: `family` or `family-kind`.
        spec: of the family.
        examples: before any encoding; fewer than asked for where faces do not lend themselves.
        problems: why some could not be made.
    """

    name: str
    spec: FamilySpec
    examples: tuple[Specimen, ...]
    problems: tuple[str, ...]


def specimens(
    reals: Index,
    settings: Settings,
    *,
    rows: int = ROWS,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Exhibit]:
    """Forge a few faces in every kind of the families of the settings.

    They are those that `synthesize` would make with these kinds named, before its chain.

    Args:
        reals: of `read_reals`; `FACES` of them are drawn, or as many as the settings' limit.
        settings: `families` and `seed` count; a family with kinds is shown kind by kind.
        rows: examples of every kind, each of another face as long as there are enough.
        progress: is told what is done.

    Raises:
        DatasetError: none of the pictures has a face.
    """
    tell = progress or (lambda what, done, total: None)
    settings = settings.model_copy(update={"families": _kinds(settings.families)})
    inputs = inputs_of(drawn(reals, settings.limit or FACES, settings.seed))
    with tempfile.TemporaryDirectory() as scratch:  # nothing is written there
        setup = Setup(settings, Path(scratch), Limits())
        with bench(setup) as here:
            found = []
            for done, given in enumerate(inputs, 1):
                found.append(here.look(given.source))
                tell("faces", done, len(inputs))
            if all(face.reason for face in found):
                raise DatasetError(
                    f"None of {len(inputs)} pictures gives a face to forge.",
                    "Give more of them, or raise --limit.",
                )
            tasks = plan_of(inputs, found, settings).tasks
            shown = []
            for done, name in enumerate(settings.families, 1):
                shown.append(_exhibit(here.workshop, name, tasks, (done - 1) * rows, rows))
                tell("kinds", done, len(settings.families))
    return shown


def _kinds(families: Sequence[str]) -> tuple[str, ...]:
    """Families with their kinds spelt out, each once."""
    names: dict[str, None] = {}
    for family in families:
        spec, kind = parse_family(family)
        names.update(dict.fromkeys([family] if kind else variants(family, spec) or [family]))
    return tuple(names)


def _exhibit(
    workshop: Workshop, name: str, tasks: Sequence[Task], start: int, rows: int
) -> Exhibit:
    """The first examples that can be made, beginning with another face for every kind."""
    spec, _ = parse_family(name)
    examples: list[Specimen] = []
    problems: list[str] = []
    for step in range(len(tasks)):
        if len(examples) == rows:
            break
        task = tasks[(start + step) % len(tasks)]
        for order in [o for o in task.orders if o.family == name][:1]:
            try:
                done = workshop.specimen(task.face, order)
            except ShapeError as error:
                problems.append(error.message)
            else:
                examples.append(done)
    if not examples and not problems:
        problems.append("No two people of the same source and split are among the faces.")
    return Exhibit(name, spec, tuple(examples), tuple(problems))
