"""What a card says of a training run: data, configuration, command, commit, and its measures."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unmask
from unmask.data.crops import Crops
from unmask.metrics.bootstrap import bootstrap_interval
from unmask.metrics.ranking import auc
from unmask.models.checkpoint import Card, read_card
from unmask.training.config import TrainConfig
from unmask.training.module import Scores, family_aucs, reals_beside


def command_of(verb: str, config: Path, fakes: Collection[str]) -> str:
    """The command line, with stand-ins for the places of data on this machine."""
    more = "".join(f" --fakes {generator}=INDEX.csv" for generator in fakes)
    return f"unmask {verb} {config} --index INDEX.csv{more}"


def facts(config: TrainConfig, crops: Crops, command: str, seconds: float) -> dict[str, Any]:
    """What the card says of the training: data, configuration, command and commit."""
    counts = Counter((i.split, i.source, "fake" if i.label else "real") for i in crops.items)
    return {
        "command": command,
        "configuration": config.told(),
        "items": {"/".join(key): n for key, n in sorted(counts.items())},
        "dropped": crops.dropped,
        "commit": commit(),
        "tool": f"unmask {unmask.__version__}",
        "torch": torch.__version__,
        "seconds_since_last_start": round(seconds),
    }


def started_from(config: TrainConfig) -> dict[str, Any] | None:
    """Which weights a run goes on from, and the families that they were trained on."""
    if config.start is None:
        return None
    card = read_card(config.start)
    return {
        "name": card.name,
        "weights_sha256": card.weights_sha256,
        "families": sorted(families_of(card)),
    }


def families_of(card: Card) -> set[str]:
    """Families that weights were trained on, or those they began from or are put together of."""
    if "members" in card.training:
        return {family for one in card.training["members"] for family in one["families"]}
    families = card.training.get("configuration", {}).get("data", {}).get("families", {})
    before = (card.training.get("started_from") or {}).get("families", [])
    return {*families, *before}


def trained_on(config: TrainConfig, begun: Mapping[str, Any] | None) -> set[str]:
    """Families of this run and of those that it goes on from."""
    return {*config.data.families, *(begun["families"] if begun else ())}


def commit() -> str | None:
    """The checkout's commit, with `-dirty` when it has changes; None outside a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def measured(scores: Scores, config: TrainConfig, known: Collection[str]) -> dict[str, Any]:
    """AUC per family on validation items, with bootstrap intervals by identity.

    Args:
        scores: of the validation split. config: of the run.
        known: families that the weights were trained on.
    """
    table: dict[str, Any] = {}
    for family, value in family_aucs(scores, config.data.beside).items():
        fakes, item = scores[family]
        reals, people = reals_beside(scores, family, config.data.beside)
        labels = np.r_[np.zeros(len(reals)), np.ones(len(fakes))]
        values = np.r_[reals, fakes]
        interval = bootstrap_interval(
            lambda ix, y=labels, s=values: auc(y[ix], s[ix]),  # type: ignore[misc]  # defaults bind
            [f"real/{p}" for p in people] + [f"fake/{p}" for p in item.identities],
            strata=labels.tolist(),
        )
        table[family] = {
            "auc": round(value, 4),
            "ci95": [round(v, 4) for v in interval],
            "reals": len(reals),
            "fakes": len(item.views),
            "trained_on": family in known,
        }
    return {"split": "val", "laundering": "JPEG q90, random grid, both classes", "families": table}
