"""Small boards to compare on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from unmask.evaluation.comparison.result import Result
from unmask.evaluation.comparison.scores import Board, Facts, Run
from unmask.evaluation.comparison.tables import compare


def make_items(
    people: int = 40, frames: int = 2, families: Sequence[str] = ("swap-a", "swap-b", "inpaint")
) -> pl.DataFrame:
    """Every person: a real video in all sets, a fake in `seen`, one in `unseen`, some in an extra
    set; each a video of `frames` frames."""
    rows: list[dict[str, Any]] = []

    def video(person: int, made: str, sets: list[str]) -> None:
        for frame in range(frames):
            name = f"{person}-{made or 'real'}-{sets[0]}"
            rows.append(
                {
                    "item": len(rows),
                    "path": f"{name}/{frame}.png",
                    "video_id": name,
                    "frame": frame,
                    "label": int(bool(made)),
                    "dataset": "made",
                    "manipulation": made,
                    "family": made.split("-")[0],
                    "source": "ab"[person % 2],
                    "cluster": f"person-{person}",
                    "sets": sets,
                }
            )

    for person in range(people):
        video(person, "", ["seen", "unseen", "stylegan"])
        video(person, "blend", ["seen"])
        video(person, families[person % len(families)], ["unseen"])
        if person % 2:
            video(person, "stylegan", ["stylegan"])
    return pl.DataFrame(rows, schema_overrides={"sets": pl.List(pl.String)})


def make_scores(items: pl.DataFrame, logits: Mapping[str, np.ndarray]) -> pl.DataFrame:
    """Scores of conditions on the items they must cover."""
    real = items["label"].to_numpy() == 0
    unseen = items["sets"].list.contains("unseen").to_numpy()
    parts = []
    for condition, values in logits.items():
        kind = condition.split("/")[0]
        rows = {"control": real, "sweep": unseen}.get(kind, np.ones(len(real), bool))
        place = np.flatnonzero(rows)
        parts.append(
            pl.DataFrame(
                {
                    "item": place.astype(np.uint32),
                    "condition": [condition] * len(place),
                    "logit": np.asarray(values, np.float32)[place],
                }
            )
        )
    return pl.concat(parts)


def make_facts(arm: str, seed: int, threshold: float = 1.0) -> Facts:
    return Facts(
        arm=arm,
        seed=seed,
        threshold=threshold,
        val_auc=0.9,
        best_epoch=1,
        parameters=10,
        seconds=1.0,
        config_sha256="c",
        weights_sha256="w",
    )


def make_board(
    items: pl.DataFrame,
    logits: Mapping[tuple[str, int], Mapping[str, np.ndarray]],
    arms: Sequence[str] = ("one", "two"),
    seeds: Sequence[int] = (0, 1, 2),
) -> Board:
    runs = {
        key: Run(make_scores(items, table).sort("condition", "item"), make_facts(*key))
        for key, table in logits.items()
    }
    return Board(items, runs, tuple(arms), tuple(seeds), "made")


def noisy(
    items: pl.DataFrame, gain: float, seed: int, conditions: Sequence[str] = ("clean",)
) -> dict[str, np.ndarray]:
    """Logits that know the label, the more the larger the gain."""
    rng = np.random.default_rng(seed)
    label = items["label"].to_numpy()
    return {name: gain * label + rng.normal(size=len(label)) for name in conditions}


CONDITIONS = (
    "clean",
    "blur+jpeg",
    "control/blurred",
    "control/re-encoded",
    "sweep/none/0",
    "sweep/jpeg/1",
    "sweep/jpeg/2",
    "sweep/webp/1",
)


def inside(board: Board, name: str) -> np.ndarray:
    """(N,) which items are of a set."""
    return board.items["sets"].list.contains(name).to_numpy()


def labels(board: Board) -> np.ndarray:
    return board.items["label"].to_numpy()


def logits(board: Board, arm: str, seed: int, condition: str = "clean") -> np.ndarray:
    """(N,), nan where the condition has no score."""
    full = np.full(board.items.height, np.nan)
    found = board.runs[arm, seed].logits(condition)
    assert found is not None
    full[found[0]] = found[1]
    return full


@pytest.fixture(scope="session")
def look() -> SimpleNamespace:
    """What a board holds, item by item."""
    return SimpleNamespace(inside=inside, labels=labels, logits=logits)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The builders above."""
    return SimpleNamespace(
        items=make_items, scores=make_scores, facts=make_facts, board=make_board, noisy=noisy
    )


@pytest.fixture(scope="session")
def items() -> pl.DataFrame:
    return make_items()


@pytest.fixture(scope="session")
def board(items: pl.DataFrame) -> Board:
    """Two arms, three seeds, a third arm with one seed; seed 0 swept."""
    logits = {}
    for number, (arm, gain) in enumerate({"one": 1.0, "two": 3.0, "three": 1.5}.items()):
        for seed in (0, 1, 2) if arm != "three" else (0,):
            names = CONDITIONS if seed == 0 else CONDITIONS[:4]
            logits[arm, seed] = noisy(items, gain, 10 * number + seed, names)
    return make_board(items, logits, ("one", "two", "three"))


@pytest.fixture(scope="session")
def result(board: Board) -> Result:
    """Of that board, against arm one."""
    return compare(board, reference="one", draws=200)
