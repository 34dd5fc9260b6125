"""Which forgeries to make of which faces, and whose faces are put into whose pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unmask.data.forging.forgery import (
    Face,
    Found,
    Loss,
    Order,
    Settings,
    Source,
    Task,
    draws,
    file_name,
)
from unmask.data.index import Index
from unmask.errors import DatasetError
from unmask.synthesis.families import parse_family


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """One real picture: the row of the index it comes from, and what of it decides forgeries."""

    row: Mapping[str, Any]
    source: Source

    @property
    def group(self) -> tuple[str, str]:
        """Within which faces are swapped, so that no pair differs in its source of pictures and
        no person gets into another split."""
        return str(self.row["source"]), str(self.row["split"])


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made.

    Attributes:
        tasks: in the order of the inputs; none for a picture without a face or without an order.
        without_donor: name of a source -> the forgeries that have nobody to swap with.
    """

    tasks: list[Task] = field(default_factory=list)
    without_donor: dict[str, list[Loss]] = field(default_factory=dict)


def inputs_of(reals: Index) -> list[Input]:
    """The rows of an index of reals.

    Raises:
        DatasetError: landmarks of a file cannot be read.
    """
    inputs = []
    for row in reals.table.iter_rows(named=True):
        source = Source(
            name=file_name(row["video_id"], row["frame"], row["path"]),
            path=str(reals.file(row["path"]).absolute()),
            # who is unknown is nobody else: a still is its own identity, and so is a video
            people=tuple(row["identities"]) or (row["video_id"],),
            crop=row["box"] is not None,
            points=_points(row, reals),
        )
        inputs.append(Input(row, source))
    return inputs


def _points(row: Mapping[str, Any], reals: Index) -> tuple[float, ...]:
    if row["landmarks"] is not None or row["landmarks_path"] is None:
        return tuple(row["landmarks"] or ())
    path = reals.file(row["landmarks_path"])
    try:
        points = np.load(path, allow_pickle=False)
        return tuple(float(v) for v in np.asarray(points, np.float64).reshape(-1, 2).ravel())
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(
            f"The landmarks {path} of {row['path']} cannot be read: {error}.",
            "Expected an .npy file of (N, 2) points; or leave landmarks_path empty.",
        ) from error


def plan_of(inputs: Sequence[Input], found: Sequence[Found], settings: Settings) -> Plan:
    """What to make of the faces that were found: every family, `per_face` times each.

    The second person of a family of two is drawn among the identities of the same source and
    split; all frames of a video get the same one, in a picture drawn anew. Of learned people, who
    come with a family, one of the same split is drawn.
    """
    faces = [
        (i, Face(source=i.source, found=f))
        for i, f in zip(inputs, found, strict=True)
        if not f.reason
    ]
    people: dict[tuple[str, str], dict[tuple[str, ...], list[Face]]] = {}
    for i, face in faces:
        people.setdefault(i.group, {}).setdefault(face.source.people, []).append(face)
    crowds = {group: _Crowd(by_name) for group, by_name in people.items()}
    splits = {who: str(i.row["split"]) for i in inputs for who in i.source.people}
    plan = Plan()
    for i, face in faces:
        orders: list[Order] = []
        for family in settings.families:
            spec, _ = parse_family(family)
            for number in range(settings.per_face):
                donor, painted = None, ""
                if spec.two_people:
                    donor = crowds[i.group].donor(i, face, family, number, settings)
                elif spec.painted:
                    painted = _painted(i, splits, family, number, settings)
                if donor is None and not painted and (spec.two_people or spec.painted):
                    loss = Loss(family=family, number=number, reason="no_donor")
                    plan.without_donor.setdefault(face.source.name, []).append(loss)
                else:
                    orders.append(Order(family=family, number=number, donor=donor, painted=painted))
        if orders:
            task = Task(face=face, orders=tuple(orders), key=_key(face, orders, settings))
            plan.tasks.append(task)
    return plan


def _painted(
    target: Input, splits: Mapping[str, str], family: str, number: int, settings: Settings
) -> str:
    """The learned person to paint over a face: somebody else of its split; '' for nobody.

    A learned person who is among the pictures has their split there, else the one of the family's
    training.
    """
    spec, kind = parse_family(family)
    mine = target.group[1]
    fit = [
        name
        for name, (who, split) in spec.painted.items()
        if kind in (None, name)
        and who not in target.source.people
        and (target.row["split"] is None or splits.get(who, split) == mine)
    ]
    rng = draws(settings.seed, "painted", family, target.row["video_id"], number)
    return fit[int(rng.integers(len(fit)))] if fit else ""


class _Crowd:
    """The people of one source and split, in an order that is not the index's."""

    def __init__(self, faces: Mapping[tuple[str, ...], Iterable[Face]]) -> None:
        self._people = [
            (names, sorted(theirs, key=lambda f: (f.found.sha256, f.source.name)))
            for names, theirs in sorted(faces.items())
        ]

    def donor(
        self, target: Input, face: Face, family: str, number: int, settings: Settings
    ) -> Face | None:
        """A face of somebody else; None where there is nobody."""
        mine = set(face.source.people)
        video = target.row["video_id"]
        rng = draws(settings.seed, "donor", family, video, number)
        places: list[int] = rng.permutation(len(self._people)).tolist()
        for place in places:
            names, theirs = self._people[place]
            if mine.isdisjoint(names):
                which = draws(settings.seed, "donor", family, face.found.sha256, number)
                return theirs[int(which.integers(len(theirs)))]
        return None


def _key(face: Face, orders: Sequence[Order], settings: Settings) -> str:
    """Hash of all that decides the forgeries of a face."""
    what = [
        settings.sha256,
        face.found.model_dump(),
        [[o.family, o.number, o.donor and o.donor.found.model_dump(), o.painted] for o in orders],
    ]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
