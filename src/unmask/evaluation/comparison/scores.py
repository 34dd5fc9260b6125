"""The files of a comparison: test items, the scores of every run, and facts about the runs.

A table of results rests on these files alone, so that anyone can compute it again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from unmask.data.atomic import replace_text, replacing
from unmask.errors import ConfigError, DatasetError, first_fault
from unmask.evaluation.comparison.layout import CLEAN, UNPERTURBED, checked_items, checked_scores

Count = Annotated[int, Field(ge=0)]
Key = tuple[str, int]
"""(arm, seed) of a run."""


class Facts(BaseModel):
    """What is known of a run beside its scores; more than these may be there.

    Attributes:
        arm, seed: which run.
        threshold: a logit; a score >= it is called fake.
        val_auc, best_epoch: of the checkpoint that validation chose.
        parameters: of the network. seconds: of its training.
        config_sha256, weights_sha256: of the configuration and the weights.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    arm: str
    seed: Count
    threshold: FiniteFloat
    val_auc: Annotated[float, Field(ge=0, le=1)]
    best_epoch: Count
    parameters: Count
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    config_sha256: str
    weights_sha256: str


@dataclass(frozen=True)
class Run:
    """One trained model on the test items.

    Attributes:
        scores: as `layout.SCORES`, sorted by condition and item.
        facts: of its training.
    """

    scores: pl.DataFrame
    facts: Facts

    @property
    def conditions(self) -> list[str]:
        """Sorted names of the conditions it was scored under."""
        return self.scores["condition"].unique().sort().to_list()

    @property
    def clean(self) -> NDArray[np.float64]:
        """(N,) logits of the items as they are."""
        return (
            self.scores.filter(pl.col("condition") == CLEAN)["logit"].to_numpy().astype(np.float64)
        )

    def logits(self, condition: str) -> tuple[NDArray[np.intp], NDArray[np.float64]] | None:
        """Item numbers, ascending, and their logits, (n,) each; None for want of the condition."""
        part = self.scores.filter(pl.col("condition") == condition)
        if not part.height:
            return None
        return part["item"].to_numpy().astype(np.intp), part["logit"].to_numpy().astype(np.float64)


@dataclass(frozen=True)
class Board:
    """All that a comparison is computed from.

    Attributes:
        items: as `layout.ITEMS`.
        runs: (arm, seed) -> run.
        arms: names, in the plan's order. seeds: the planned ones.
        protocol: name of what was run.
        files: path inside the folder -> SHA-256, of every file that was read.
    """

    items: pl.DataFrame
    runs: Mapping[Key, Run]
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    protocol: str
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"A comparison needs arms, each named once; got {self.arms}.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"A comparison needs seeds, each once; got {self.seeds}.")
        strangers = sorted(set(self.runs) - {(a, s) for a in self.arms for s in self.seeds})
        if strangers:
            arm, seed = strangers[0]
            raise DatasetError(
                f"There are {len(strangers)} runs outside the plan; one is {arm}, seed {seed}.",
                "Move their files out of the folder, or add arm and seed to the plan.",
            )
        subsets = {
            tuple(found[0].tolist())
            for run in self.runs.values()
            if (found := run.logits(UNPERTURBED)) is not None
        }
        if len(subsets) > 1:
            raise DatasetError(
                f"The runs' sweeps are on {len(subsets)} different subsets of the items.",
                "Run the sweep again on one subset for all arms.",
            )

    @property
    def absent(self) -> tuple[Key, ...]:
        """Planned runs that are not there."""
        return tuple((a, s) for a in self.arms for s in self.seeds if (a, s) not in self.runs)

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """Seeds of an arm that are there, in the plan's order."""
        return tuple(s for s in self.seeds if (arm, s) in self.runs)

    @classmethod
    def read(cls, out: Path, *, arms: Sequence[str], seeds: Sequence[int], protocol: str) -> Board:
        """All items and runs of an output folder.

        Args:
            out: the folder.
            arms, seeds, protocol: of the plan; the arms in its order.

        Raises:
            DatasetError: a file is damaged, does not fit the items, has no counterpart (scores
                without facts, facts without scores), or is of a run outside the plan.
            ConfigError: no arms or seeds, or one named twice.
        """
        items = read_items(out)
        scored = _found(out, "scores", ".parquet")
        told = _found(out, "runs", ".json")
        for key in sorted(scored ^ told):
            has, lacks = (scores_path, facts_path) if key in scored else (facts_path, scores_path)
            raise DatasetError(
                f"{has(out, *key)} is there, but not {lacks(out, *key)}.",
                "Delete the former and run the benchmark again, which does this run anew.",
            )
        keys = sorted(scored)
        runs = {k: Run(read_scores(out, *k, items), read_facts(out, *k)) for k in keys}
        read = [items_path(out)]
        read += [path(out, *key) for key in keys for path in (facts_path, scores_path)]
        files = {path.relative_to(out).as_posix(): sha256_of(path) for path in sorted(read)}
        return cls(items, runs, tuple(arms), tuple(seeds), protocol, files)


def _found(out: Path, folder: str, suffix: str) -> set[Key]:
    keys = set()
    for path in sorted((out / folder).glob(f"*/*{suffix}")):
        name = re.fullmatch(rf"seed-(0|[1-9][0-9]*){re.escape(suffix)}", path.name)
        if name is None:
            raise DatasetError(
                f"{path} is not named seed-N{suffix}.", "Move it out of the benchmark's folder."
            )
        keys.add((path.parent.name, int(name[1])))
    return keys


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def items_path(out: Path) -> Path:
    """OUT/items.parquet."""
    return out / "items.parquet"


def scores_path(out: Path, arm: str, seed: int) -> Path:
    """OUT/scores/ARM/seed-N.parquet."""
    return out / "scores" / arm / f"seed-{seed}.parquet"


def facts_path(out: Path, arm: str, seed: int) -> Path:
    """OUT/runs/ARM/seed-N.json."""
    return out / "runs" / arm / f"seed-{seed}.json"


def write_items(out: Path, items: pl.DataFrame) -> Path:
    """Check the items and write them; raises as `layout.checked_items`."""
    path = items_path(out)
    write_table(path, checked_items(items, str(path)), {})
    return path


def read_items(out: Path) -> pl.DataFrame:
    """The items of a folder; DatasetError also where the file is missing or no Parquet."""
    path = items_path(out)
    return checked_items(_read(path), str(path))


def write_scores(out: Path, arm: str, seed: int, scores: pl.DataFrame, items: pl.DataFrame) -> Path:
    """Check a run's scores and write them; raises as `layout.checked_scores`.

    The file carries arm and seed, so that one in the wrong place is found. The same scores give
    the same bytes with the same version of Polars.
    """
    path = scores_path(out, arm, seed)
    write_table(path, checked_scores(scores, items, str(path)), {"arm": arm, "seed": str(seed)})
    return path


def read_scores(out: Path, arm: str, seed: int, items: pl.DataFrame) -> pl.DataFrame:
    """A run's scores, sorted by condition and item.

    Raises:
        DatasetError: as `layout.checked_scores`; also a file that is missing, no Parquet, or of
            another run.
    """
    path = scores_path(out, arm, seed)
    table = _read(path)
    told = pl.read_parquet_metadata(path)
    if (told.get("arm"), told.get("seed")) != (arm, str(seed)):
        raise DatasetError(
            f"{path} holds scores of arm {told.get('arm')!r}, seed {told.get('seed')!r}.",
            "Put it where it belongs, or delete it and run the benchmark again.",
        )
    return checked_scores(table, items, str(path))


def write_facts(out: Path, facts: Facts) -> Path:
    """Write OUT/runs/ARM/seed-N.json."""
    path = facts_path(out, facts.arm, facts.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(facts.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")
    return path


def read_facts(out: Path, arm: str, seed: int) -> Facts:
    """Facts of a run; DatasetError where they are missing, incomplete or of another run."""
    path = facts_path(out, arm, seed)
    try:
        facts = Facts.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.", _DELETE) from error
    except ValidationError as error:
        raise DatasetError(f"{path}: {first_fault(error, 'the file')}.", _DELETE) from error
    if (facts.arm, facts.seed) != (arm, seed):
        raise DatasetError(f"{path} is about arm {facts.arm!r}, seed {facts.seed}.", _DELETE)
    return facts


_DELETE = "Delete the file and run the benchmark again, which writes it anew."


def write_table(path: Path, table: pl.DataFrame, metadata: dict[str, str]) -> None:
    """Write Parquet, whole or not at all; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        table.write_parquet(part, compression="zstd", metadata=metadata)


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing.", "Run the benchmark, which writes it.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"{path} is no Parquet file that can be read.", _DELETE) from error
