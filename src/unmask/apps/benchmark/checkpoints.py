"""Trained weights on the tests of a protocol: what `unmask evaluate` makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unmask.apps.benchmark.material import Material, Say
from unmask.apps.benchmark.one import FPR, Place, score_tests
from unmask.apps.benchmark.run import batches, embedded_items, write_spectra
from unmask.apps.benchmark.tabulate import write_tables
from unmask.errors import ConfigError
from unmask.evaluation.comparison.layout import CLEAN
from unmask.evaluation.comparison.scores import Board, Facts, write_facts, write_items
from unmask.evaluation.scoring import score
from unmask.evaluation.views import Batch, ViewStore
from unmask.inference.settings import locate_weights
from unmask.metrics.calibration import threshold_at_fpr
from unmask.metrics.ranking import auc
from unmask.models.checkpoint import Card, load_checkpoint

SWEEP_EACH, EMBEDDED_EACH = 10, 40


def evaluate_weights(
    protocol: str,
    material: Material,
    models: Sequence[str],
    out: Path,
    work: Path,
    say: Say,
    *,
    jobs: int = 1,
    precision: str = "float32",
    sweep: bool = True,
) -> Path:
    """Score trained weights on a protocol's tests, once, and tabulate them.

    The threshold of a model is its card's, else what 5% of the protocol's validation reals reach.
    What a model was trained on is not known here: only its card can say whether a generator or a
    person of the tests was in it.

    Args:
        protocol: its name. material: its pictures.
        models: packaged models or weights files; the first is what the others are tested against.
        out: a folder that is empty or not there.
        work: for views; may be deleted.
        say: told what goes on.
        jobs: processes that make views.
        precision: `float32` or `bfloat16`.
        sweep: also the perturbation sweep.

    Returns:
        Path of the page.

    Raises:
        ConfigError: `out` holds something, no such weights, or two models of one name.
        CheckpointError: weights cannot be read.
    """
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty.", "Choose another --out.")
    loaded = _load(models)
    write_items(out, material.items)
    tests = ViewStore(
        work / "views",
        batches(material.items, SWEEP_EACH if sweep else 0),
        material.places,
    )
    validation, labels = _validation(material, work)
    specs = [card.input for _, card in loaded.values()]
    validation.make(material.training_crops(), specs, jobs=jobs)
    tests.make(material.test_crops(), specs, jobs=jobs)
    write_spectra(out, material, say)
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    embedded = embedded_items(material.items, EMBEDDED_EACH)
    for name, (model, card) in loaded.items():
        say(f"scoring {name}")
        known = score(model, card.input, validation, validation.batches[0], precision=kind).logits
        place = Place(out, name, 0)
        score_tests(model, card.input, tests, place, precision=kind, embedded=embedded)
        write_facts(out, _facts(name, card, known, labels, precision))
    board = Board.read(out, arms=tuple(loaded), seeds=(0,), protocol=protocol)
    about = {"Weights": ", ".join(f"{n} ({c.architecture})" for n, (_, c) in loaded.items())}
    return write_tables(out, board, next(iter(loaded)), about)


def _load(models: Sequence[str]) -> Mapping[str, tuple[nn.Module, Card]]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded: dict[str, tuple[nn.Module, Card]] = {}
    for given in models:
        path = locate_weights(given)
        if path.stem in loaded:
            raise ConfigError(f"Two models are called {path.stem}.", "Rename one of the files.")
        model, card = load_checkpoint(path)
        loaded[path.stem] = model.to(device), card
    return loaded


def _validation(material: Material, work: Path) -> tuple[ViewStore, NDArray[np.intp]]:
    """Views of the protocol's validation items, and their labels."""
    crops = material.training_crops()()
    places = crops.where(lambda item: item.split == "val")
    labels = np.array([crops.items[place].label for place in places])
    batch = Batch(CLEAN, np.arange(len(places)))
    return ViewStore(work / "validation", (batch,), np.array(places)), labels


def _facts(
    name: str,
    card: Card,
    logits: NDArray[np.float64],
    labels: NDArray[np.intp],
    precision: str,
) -> Facts:
    own = card.decision
    threshold = threshold_at_fpr(logits[labels == 0], FPR) if own is None else _logit(own.flag)
    return Facts.model_validate(
        {
            "arm": name,
            "seed": 0,
            "threshold": threshold,
            "threshold_of": "validation reals" if own is None else "the card",
            "val_auc": auc(labels, logits),
            "best_epoch": 0,
            "parameters": card.parameters,
            "seconds": 0.0,
            "config_sha256": "",
            "weights_sha256": card.weights_sha256,
            "precision": precision,
        }
    )


def _logit(score: float) -> float:
    """The logit of a score; of one at the end of the scale, a logit that no network reaches."""
    if score in (0.0, 1.0):
        return math.copysign(1e3, score - 0.5)
    return math.log(score / (1 - score))
