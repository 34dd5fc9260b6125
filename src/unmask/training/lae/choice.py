"""Between the stages: which training fakes get a mask, and what the data set's own masks answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from unmask.data.annotation.exchange import oracle_answers, take
from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.queue import budget_of
from unmask.data.annotation.store import MaskStore
from unmask.errors import DatasetError
from unmask.models.lae import LAE
from unmask.training.active import Given, Rule, look, select
from unmask.training.lae.data import TRAIN, Corpus
from unmask.training.module import evaluating
from unmask.transforms.preprocess import InputSpec, to_tensors, to_views


def chosen_pictures(
    model: LAE, spec: InputSpec, corpus: Corpus, rule: Rule, budget: str, *, seed: int
) -> list[Picture]:
    """The training fakes that a rule would have painted, the most wanted first.

    Args:
        model: of stage 1, in eval mode.
        spec: its input.
        corpus: nothing but its training split is looked at.
        rule: of `training.active.select`.
        budget: a number of masks, or percent of the training fakes.
        seed: of `random`, and of `core_set`'s first centre.

    Raises:
        DatasetError: no training fake has a mask of its own that could be asked for.
        ConfigError: the budget cannot be, or no channel tells fake from real.
    """
    reals, fakes = corpus.places(TRAIN, 0), corpus.places(TRAIN, 1)
    places = [*fakes, *reals]
    able = [i for i, place in enumerate(fakes) if corpus.picture(place).mask is not None]
    if not able:
        raise DatasetError(
            "No training fake has a mask in the index, so nothing can answer for people.",
            "Have masks painted with `unmask annotate`, and name its folder as selection.store.",
        )
    found = select(
        rule,
        able,
        budget_of(budget, len(fakes)),
        seed=seed,
        given=None if rule == "random" else _given(model, spec, corpus, places, rule),
        labels=np.array([1] * len(fakes) + [0] * len(reals)),
    )
    return [corpus.picture(places[place]) for place in found.places.tolist()]


def _given(model: LAE, spec: InputSpec, corpus: Corpus, places: Sequence[int], rule: Rule) -> Given:
    def crop(place: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return corpus.crops.image(places[place])

    with evaluating(model):
        given = look(model, spec, crop, len(places), channels=False)
        if rule != "published":
            return given
        channels = []
        device = next(model.parameters()).device
        for begin in range(0, len(places), 32):
            some = range(begin, min(begin + 32, len(places)))
            views = [to_views(crop(place), spec) for place in some]
            rgb = to_tensors(views, spec)["rgb"].to(device)
            with torch.inference_mode():
                channels.append(model.channel_activations(rgb).double().cpu().numpy())
    return Given(given.logits, given.embeddings, np.concatenate(channels))


def ask_oracle(store: Path, pictures: Sequence[Picture]) -> None:
    """Put the data sets' own masks of these pictures into a mask store, as if people had.

    What the store holds already stays as it is.

    Raises:
        DatasetError: a mask was refused; the message says why.
    """
    with MaskStore(store) as open_store:
        done = take(open_store, oracle_answers(pictures), annotator="oracle", source="oracle")
    if done.refused:
        first = done.refused[0]
        raise DatasetError(
            f"{len(done.refused)} masks of the index cannot be used; the first is {first.file}: "
            f"{first.reason}",
            "Mend them, or choose another index.",
        )
