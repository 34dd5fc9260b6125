"""The work of `unmask annotate select`: which pictures may be chosen, and what a model gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unmask.data.annotation.pictures import Picture, read_pictures
from unmask.data.annotation.queue import Entry, budget_of
from unmask.data.annotation.store import Annotations
from unmask.errors import ConfigError, DatasetError
from unmask.training.active import RULES, Given, Rule, check_channels, look, select

if TYPE_CHECKING:
    from torch import nn

    from unmask.data.crops import Crops
    from unmask.data.items import Item
    from unmask.models.checkpoint import Card

Bar = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""How much there is to do -> what to call after each."""


@dataclass
class Choice:
    """Pictures with their scores, the most wanted first.

    Attributes:
        notes: what a person should know, a line each.
        short: there are fewer than asked for, or some could not be looked at.
    """

    pictures: list[tuple[Picture, float | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    short: bool = False


@dataclass(frozen=True)
class Selection:
    """What a selection starts from.

    Attributes:
        pictures: of the training split; all where there are no splits.
        rule, seed: of `unmask.training.active.select`.
        model: network and card; None for `random`.
    """

    index: Path
    pictures: list[Picture]
    rule: Rule
    seed: int
    model: tuple[nn.Module, Card] | None

    @classmethod
    def of(cls, index: Path, rule: str, model: str, device: str, seed: int) -> Selection:
        """Read the pictures and load the model.

        Raises:
            DatasetError: no pictures, no training fakes, or a label without a split.
            ConfigError: `published` without training reals, or with a network without channels.
            UnmaskError: the model or the device cannot be used.
        """
        pictures = read_pictures(index)
        loose = [p.path for p in pictures if p.label is not None and p.split is None]
        if loose:
            raise DatasetError(
                f"{index}: {len(loose)} rows have no split; the first is {loose[0]}.",
                "Only training pictures may be annotated: give each row a split.",
            )
        train = [p for p in pictures if p.split in (None, "train")]
        if not any(p.label != 0 for p in train):
            raise DatasetError(
                f"{index} has no fakes in its training split: there is nothing to paint.",
                "Masks are painted on fakes that a network is trained with.",
            )
        if rule == "published" and not any(p.label == 0 for p in train):
            raise ConfigError(
                f"The rule published compares reals with fakes; {index} has no training reals.",
                "Select from an index that has both, or by another rule.",
            )
        named = next(name for name in RULES if name == rule)
        network = None if named == "random" else _load(model, device)
        if network is not None and named == "published":
            check_channels(network[0])
        return cls(index, train, named, seed, network)

    def choose(
        self,
        budget: str,
        answers: Annotations,
        queue: Sequence[Entry],
        cache: Path,
        bar: Bar,
    ) -> Choice:
        """Choose from what is neither answered nor in the queue.

        Args:
            budget: of `budget_of`.
            answers: of the store.
            queue: as it is.
            cache: folder for face crops.
            bar: shows how far the work is.
        """
        wanted = budget_of(budget, sum(p.label != 0 for p in self.pictures))
        choice = Choice()
        used = {e.sha256 for e in queue} | {a.sha256 for a in answers.all()}
        seen = self._seen(choice, cache, bar)
        first: dict[str, int] = {}
        with bar(len(seen.pictures)) as advance:
            for place, picture in enumerate(seen.pictures):
                if picture.label != 0:
                    first.setdefault(picture.sha256, place)  # of copies only the first counts
                advance()
        done = [place for sha256, place in first.items() if sha256 in used]
        found = select(
            self.rule,
            np.array(list(first.values()), np.int64),
            wanted,
            seed=self.seed,
            given=seen.given,
            labels=np.array([p.label != 0 for p in seen.pictures]),
            annotated=np.array(done, np.int64),
            threshold=self._threshold(),
        )
        scores = [None] * len(found.places) if found.scores is None else found.scores.tolist()
        choice.pictures = [
            (seen.pictures[place], score)
            for place, score in zip(found.places.tolist(), scores, strict=True)
        ]
        if len(choice.pictures) < wanted:
            choice.short = True
            choice.notes.append(
                f"{wanted} pictures were asked for, but only {len(choice.pictures)} are left."
            )
        return choice

    def _seen(self, choice: Choice, cache: Path, bar: Bar) -> _Seen:
        """The pictures that can be chosen or compared with, and what the model gives of them."""
        if self.model is None:
            return _Seen(self.pictures, None)
        channels = self.rule == "published"
        compared = [p for p in self.pictures if channels or p.label != 0]
        model, card = self.model
        with bar(len(compared)) as advance:
            crops = _crops(self.index, compared, cache, advance)
        if crops.dropped:
            choice.short = True
            told = ", ".join(f"{count} {reason}" for reason, count in crops.dropped.items())
            choice.notes.append(f"Pictures that give no face cannot be chosen: {told}.")
        by_file = {picture.file: picture for picture in compared}
        with bar(len(crops)) as advance:
            given = look(
                model, card.input, crops.image, len(crops), channels=channels, advance=advance
            )
        return _Seen([by_file[item.path] for item in crops.items], given)

    def _threshold(self) -> float:
        """The logit at which the model's card says fake; 0 where it does not say."""
        decision = self.model[1].decision if self.model else None
        if decision is None or not 0 < decision.flag < 1:
            return 0.0
        return math.log(decision.flag / (1 - decision.flag))


@dataclass(frozen=True)
class _Seen:
    pictures: list[Picture]
    given: Given | None


def _load(model: str, device: str) -> tuple[nn.Module, Card]:
    from unmask.inference.settings import choose_device, locate_weights, torch_device
    from unmask.models.checkpoint import load_checkpoint

    network, card = load_checkpoint(locate_weights(model))
    return network.to(torch_device(choose_device(device))), card


def _crops(
    index: Path, pictures: Sequence[Picture], cache: Path, advance: Callable[[], None]
) -> Crops:
    from unmask.data.crops import prepare_crops
    from unmask.data.items import read_items

    if pictures[0].label is None:
        items = [_item(picture) for picture in pictures]
    else:
        wanted = {picture.file for picture in pictures}
        items = [item for item in read_items(index) if item.path in wanted]
    return prepare_crops(items, cache, progress=lambda _: advance())


def _item(picture: Picture) -> Item:
    """A picture of a plain folder: what is not known decides nothing in a crop."""
    from unmask.data.items import Item

    return Item(picture.file, 1, "", "", picture.path, "train")
