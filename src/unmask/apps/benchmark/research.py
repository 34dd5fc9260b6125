"""Candidates for the default model, each trained several times with other families left out.

What a detector is worth on generators nobody trained on can only be guessed from families that it
was not trained on. So every candidate is trained once per fold, with the fold's families left out
altogether, and scores the same pictures: the validation split while candidates are still chosen,
the test split once at the end.

    OUT/items.parquet, OUT/scores/, OUT/runs/   as of any comparison, the arm being CANDIDATE.FOLD
    OUT/research.json, OUT/index.html           the ranking, from these files alone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from unmask.apps.benchmark.material import Say, family_of
from unmask.apps.benchmark.one import Job
from unmask.apps.benchmark.plan import NAME, Table
from unmask.apps.benchmark.run import alone, batches, is_done, run_all
from unmask.apps.machine import cores
from unmask.apps.report.research import write_research
from unmask.data.atomic import replace_text
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import Item
from unmask.errors import ConfigError, DatasetError
from unmask.evaluation.comparison.layout import CLEAN
from unmask.evaluation.comparison.scores import (
    facts_path,
    read_facts,
    read_scores,
    write_items,
)
from unmask.evaluation.comparison.scores import (
    read_items as read_table,
)
from unmask.evaluation.leave_out import (
    CandidateRow,
    Fold,
    Pictures,
    candidate,
    ensemble,
    ranked,
)
from unmask.evaluation.views import Batch, ViewStore
from unmask.models.registry import model_spec
from unmask.training.config import TrainConfig, read_yaml
from unmask.training.run import sized

RESULT = "research.json"
CHANGED = "A candidate that changes is another candidate: give it another name."
Split = Literal["val", "test"]


class Ensemble(BaseModel):
    """Candidates whose standardised logits are averaged: nothing is trained for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: Annotated[tuple[str, ...], Field(min_length=2)]
    summary: str


class Research(BaseModel):
    """A table of candidates and the folds they are judged by, from YAML.

    Attributes:
        folds: name -> families left out of training.
        beside: family -> sources of the reals it is trained and judged beside.
        precision: of the scores.
        table: the candidates; its `reference` is the first to be compared with.
        ensembles: of candidates of the table, ranked beside them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folds: Annotated[
        dict[Annotated[str, Field(pattern=NAME)], tuple[str, ...]], Field(min_length=1)
    ]
    beside: dict[str, tuple[str, ...]] = {}
    precision: Literal["float32", "bfloat16"] = "float32"
    table: Table
    ensembles: dict[Annotated[str, Field(pattern=NAME)], Ensemble] = {}

    @model_validator(mode="after")
    def _named_apart(self) -> Research:
        twice = sorted(set(self.ensembles) & set(self.table.arms))
        if twice:
            raise ValueError(f"both a candidate and an ensemble: {', '.join(twice)}")
        for name, one in self.ensembles.items():
            unknown = sorted(set(one.members) - set(self.table.arms))
            if unknown:
                raise ValueError(f"ensembles.{name}: no candidate is called {unknown[0]}")
        odd = [name for name in (*self.folds, *self.table.arms, *self.ensembles) if "." in name]
        if odd:
            raise ValueError(f"names of folds and candidates cannot hold a '.': {', '.join(odd)}")
        return self


class ResearchFile(BaseModel):
    """research.json: best candidate first, and what it was found on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Split
    folds: dict[str, tuple[str, ...]]
    beside: dict[str, tuple[str, ...]]
    budget: str
    reals: int
    candidates: tuple[CandidateRow, ...]


def read_research(path: Path) -> Research:
    """A YAML file of candidates.

    Raises:
        ConfigError: no such file, not YAML, or a value that cannot work, each with its field.
    """
    return read_yaml(path, Research, "table of candidates")


def _load(items: Sequence[Item], cache: Path, left_out: frozenset[str]) -> Crops:
    """The crops that a fold trains on and is chosen by."""
    crops = prepare_crops(items, cache)
    return crops.only(lambda i: i.split != "test" and family_of(i.generator) not in left_out)


def _table_of(items: Sequence[Item]) -> pl.DataFrame:
    """items.parquet of the scored pictures, in their order."""
    rows = [
        {
            "path": "/".join(item.path.parts[-2:]),
            "video_id": item.video_id or item.path.stem,
            "frame": 0,
            "label": item.label,
            "dataset": "",
            "manipulation": item.generator,
            "family": family_of(item.generator),
            "source": item.source,
            "cluster": item.identity.split("+")[0] or item.path.stem,
            "sets": ["unseen"],
        }
        for item in items
    ]
    schema = {"frame": pl.Int32(), "label": pl.UInt8()}
    return pl.DataFrame(rows, schema_overrides=schema).with_row_index("item")


@dataclass(frozen=True)
class Workshop:
    """Where candidates are trained and judged.

    Attributes:
        research: what, `items`: on what, `split`: which of them are scored.
        out, work: results, and what may be deleted.
        jobs: runs at a time.
        say: told of every run.
        backbone_weights: of the candidates that begin from ImageNet weights; fetched when None.
    """

    research: Research
    items: list[Item]
    split: Split
    out: Path
    work: Path
    jobs: int
    say: Say
    backbone_weights: Path | None = None

    @property
    def cache(self) -> Path:
        return self.work / "cache"

    def families(self, fold: str) -> dict[str, float]:
        """What a fold trains on."""
        left = self.research.folds[fold]
        every = {family_of(item.generator) for item in self.items if item.label}
        unknown = sorted(set(left) - every)
        if unknown:
            raise ConfigError(
                f"The fold {fold} leaves out {unknown[0]}, of which the index has no fakes.",
                f"It has: {', '.join(sorted(every))}.",
            )
        return dict.fromkeys(sorted(every - set(left)), 1.0)

    def carry_out(
        self, names: Sequence[str], folds: Sequence[str], seeds: Sequence[int]
    ) -> list[str]:
        """Every run that is not done yet; returns what failed, a line each.

        Raises:
            ConfigError: an unknown candidate, one that cannot work, or one that has changed; or
                another command is at work in the same folder.
        """
        with alone(self.work):
            return self._carry_out(names, folds, seeds)

    def _carry_out(
        self, names: Sequence[str], folds: Sequence[str], seeds: Sequence[int]
    ) -> list[str]:
        table = self.research.table.part(tuple(names), tuple(seeds))
        crops = prepare_crops(self.items, self.cache)
        scored = crops.where(lambda i: i.split == self.split)
        items = _table_of([crops.items[place] for place in scored])
        self.out.mkdir(parents=True, exist_ok=True)
        write_items(self.out, items)
        tests = ViewStore(self.work / f"views-{self.split}", batches(items, 0), np.array(scored))
        places = crops.where(lambda i: i.split == "val" and i.label == 0)
        reals = ViewStore(
            self.work / "views-reals", (Batch(CLEAN, np.arange(len(places))),), np.array(places)
        )
        families = {fold: self.families(fold) for fold in folds}
        jobs = [
            self._job(table.config(name, seed, families[fold]), name, fold, tests, reals)
            for seed in table.seeds
            for name in table.arms
            for fold in folds
        ]
        todo = [job for job in jobs if not is_done(*job.key, CHANGED)]
        if not todo:
            return []
        specs = [sized(model_spec(job.config.model), job.config).input for job in todo]
        for store in (reals, tests):
            store.make(partial(prepare_crops, self.items, self.cache), specs, jobs=self.jobs)
        self.say(f"{len(todo)} runs to do")
        return run_all(todo, self.jobs, self.say)

    def _job(
        self, config: TrainConfig, name: str, fold: str, tests: ViewStore, reals: ViewStore
    ) -> Job:
        left = frozenset(self.research.folds[fold])
        beside = {n: list(s) for n, s in self.research.beside.items() if n not in left}
        config = config.model_copy(
            update={
                "name": f"{name}.{fold}-{config.seed}",
                "backbone_weights": self.backbone_weights if config.pretrained else None,
                "data": config.data.model_copy(update={"beside": beside}),
            }
        )
        return Job(
            arm=f"{name}.{fold}",
            config=config,
            training=partial(_load, self.items, self.cache, left),
            tests=tests,
            reals=reals,
            embedded=None,
            out=self.out,
            work=self.work,
            threads=max(1, cores() // self.jobs),
            precision=self.research.precision,
        )


def rank(research: Research, out: Path, split: Split) -> Path:
    """Write research.json and the page of all candidates with a score file for every fold.

    Raises:
        DatasetError: no candidate is whole, or files do not fit each other.
    """
    items = read_table(out)
    pictures = Pictures.of(items, research.beside)
    told: dict[str, tuple[str, tuple[str, ...]]] = {
        name: (arm.summary, (name,)) for name, arm in research.table.arms.items()
    }
    told |= {name: (one.summary, one.members) for name, one in research.ensembles.items()}
    rows = []
    for name, (summary, members) in told.items():
        runs = _runs(research, out, members, items, pictures)
        if runs is not None:
            folds, parameters, seconds = runs
            rows.append(
                candidate(name, summary, folds, pictures, parameters=parameters, seconds=seconds)
            )
    if not rows:
        raise DatasetError(f"No candidate in {out} has a run for every fold.")
    result = ResearchFile(
        split=split,
        folds=research.folds,
        beside=research.beside,
        budget=research.table.budget,
        reals=len(pictures.reals()),
        candidates=tuple(ranked(rows)),
    )
    replace_text(out / RESULT, result.model_dump_json(indent=1) + "\n")
    return write_research(
        out, result.candidates, budget=result.budget, folds=result.folds, split=split
    )


def _runs(
    research: Research, out: Path, members: Sequence[str], items: pl.DataFrame, pictures: Pictures
) -> tuple[list[Fold], int, float] | None:
    """Scores of every fold and seed, parameters and seconds; None where a fold has no run."""
    folds, seconds, parameters = [], 0.0, 0
    for fold, left in research.folds.items():
        arms = [f"{member}.{fold}" for member in members]
        seeds = sorted(set.intersection(*(set(_seeds(out, arm)) for arm in arms)))
        if not seeds:
            return None
        for seed in seeds:
            facts = [read_facts(out, arm, seed) for arm in arms]
            seconds += sum(one.seconds for one in facts)
            parameters = sum(one.parameters for one in facts)
            scored = [Fold(frozenset(left), _scores(out, arm, seed, items)) for arm in arms]
            folds.append(scored[0] if len(arms) == 1 else ensemble(scored, pictures.reals()))
    return folds, parameters, seconds


def _seeds(out: Path, arm: str) -> list[int]:
    folder = facts_path(out, arm, 0).parent
    return sorted(int(path.stem.removeprefix("seed-")) for path in folder.glob("seed-*.json"))


def _scores(out: Path, arm: str, seed: int, items: pl.DataFrame) -> dict[str, np.ndarray]:
    table = read_scores(out, arm, seed, items)
    found: dict[str, np.ndarray] = {}
    for (condition,), part in table.group_by("condition", maintain_order=True):
        values = np.full(items.height, np.nan)
        values[part["item"].to_numpy()] = part["logit"].to_numpy()
        found[str(condition)] = values
    return found
