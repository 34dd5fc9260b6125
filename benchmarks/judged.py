"""Crops of an index, changed and judged by a model as in a scan."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmask.apps.cli.indices import pairs
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.data.scoring import Change, ScoringSet, scored_picture
from unmask.inference.settings import packaged_models
from unmask.metrics.calibration import sigmoid
from unmask.models.checkpoint import Card, load_checkpoint
from unmask.models.efficientnet_lite import fold_norms
from unmask.training.module import score_sets
from unmask.transforms.preprocess import to_views
from unmask.types import UInt8Image


def add_options(parser: ArgumentParser) -> None:
    """What `Judge.of` takes from the command line."""
    parser.add_argument("index", type=Path)
    parser.add_argument("--fakes", action="append", default=[], metavar="GENERATOR=INDEX")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="its cache has the crops")
    parser.add_argument("--model", type=Path, help="weights instead of the packaged ones")


@dataclass(frozen=True)
class Judge:
    """A model and the crops that it looks at."""

    crops: Crops
    model: nn.Module
    card: Card

    @classmethod
    def of(cls, args: Namespace) -> Judge:
        """As `add_options` has it."""
        fakes = {name: Path(path) for name, path in pairs("--fakes", args.fakes)}
        crops = prepare_crops(read_items_with(args.index, fakes), args.runs / "cache")
        model, card = load_checkpoint(args.model or packaged_models()["unmask-default"])
        fold_norms(model)  # as in a scan
        return cls(crops, model, card)

    def sources(self, chosen: Sequence[int]) -> list[str]:
        """Of crops, one each."""
        return [self.crops.items[index].source for index in chosen]

    def look(
        self, chosen: Sequence[int], change: Change
    ) -> tuple[list[UInt8Image], NDArray[np.float64]]:
        """Crops changed and laundered, and their logits (N,)."""
        pictures = [scored_picture(self.crops, index, change) for index in chosen]
        views = [to_views(picture, self.card.input) for picture in pictures]
        sources = self.sources(chosen)
        item = ScoringSet("changed", views, 0, sources, sources)
        return pictures, score_sets(self.model, [item], self.card.input)["changed"][0]

    def flagged(self, logits: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of them reach the threshold, (N,)."""
        assert self.card.decision is not None
        return np.asarray(sigmoid(logits) >= self.card.decision.flag)
