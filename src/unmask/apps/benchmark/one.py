"""One run of a comparison, in a process of its own: train, choose, score the tests once."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from unmask.apps.benchmark.compat import score_epochs
from unmask.apps.benchmark.plan import config_sha256
from unmask.data.atomic import replace_text
from unmask.data.crops import Crops
from unmask.data.processes import end_with_parent
from unmask.errors import ConfigError, ShapeError, UnmaskError
from unmask.evaluation.comparison.layout import CLEAN
from unmask.evaluation.comparison.scores import (
    Facts,
    facts_path,
    read_items,
    write_facts,
    write_scores,
)
from unmask.evaluation.compat_files import epochs_path, write_epochs
from unmask.evaluation.embedding import embedding_map
from unmask.evaluation.scoring import Scored, score
from unmask.evaluation.views import ViewStore
from unmask.metrics.calibration import threshold_at_fpr
from unmask.models.checkpoint import Card, load_checkpoint
from unmask.models.statistics import StatisticsNet
from unmask.training.card import commit
from unmask.training.config import TrainConfig
from unmask.training.run import EPOCHS, train_on
from unmask.training.statistics import Remembered
from unmask.transforms.preprocess import InputSpec

Embedded = tuple[NDArray[np.intp], tuple[str, ...]]
FPR = 0.05
"""Share of the validation reals at or above a run's threshold."""


@dataclass(frozen=True)
class Job:
    """All that a run needs; can be sent to another process.

    Attributes:
        arm, config: which run; its seed is the configuration's.
        training: loads the crops of training and validation.
        tests, reals: views of the test items and of the validation reals.
        embedded: items of the picture of the embedding and their groups, or None.
        out: output folder of the comparison. work: what may be deleted.
        threads: for the network.
        precision: of scoring.
        per_epoch: items that the checkpoint of every epoch scores, or None (see `--compat`).
    """

    arm: str
    config: TrainConfig
    training: Callable[[], Crops]
    tests: ViewStore
    reals: ViewStore
    embedded: Embedded | None
    out: Path
    work: Path
    threads: int
    precision: str = "float32"
    per_epoch: NDArray[np.intp] | None = None

    @property
    def facts(self) -> Path:
        """Written last: a run whose facts are there is done."""
        return facts_path(self.out, self.arm, self.config.seed)

    @property
    def key(self) -> tuple[Path, str, int, str]:
        """Output folder, arm, seed, and the hash of what decides the run."""
        return self.out, self.arm, self.config.seed, config_sha256(self.config)

    @property
    def log(self) -> Path:
        return self.work / "logs" / f"{self.config.name}.log"


def run(job: Job) -> str:
    """Train and score one run, its output going to the job's log; returns a line about it."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(job.threads)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with (
        job.log.open("a", encoding="utf-8", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        try:
            return _run(job)
        except Exception:
            traceback.print_exc()
            raise


def _run(job: Job) -> str:
    folder = job.work / "trained" / job.config.name
    started = time.perf_counter()
    weights = folder / f"{job.config.name}.safetensors"
    if not weights.is_file():
        weights = train_on(
            job.config,
            job.training(),
            out=folder,
            cache=job.work / "cache",
            command=f"unmask benchmark (arm {job.arm}, seed {job.config.seed})",
            resume=True,
            decide=False,
            keep_every_epoch=job.per_epoch is not None,
        )
    trained = time.perf_counter() - started
    model, card = load_checkpoint(weights)
    of_card, asked_for = (
        TrainConfig.model_validate(told)
        for told in (card.training["configuration"], job.config.told())
    )
    if config_sha256(of_card) != config_sha256(asked_for):
        raise ConfigError(
            f"{weights} was trained with another configuration.",
            f"Delete {folder}, or choose another --work.",
        )
    fixed = isinstance(model, StatisticsNet)  # its statistics are measured on the processor
    device = "cuda" if torch.cuda.is_available() and not fixed else "cpu"
    model = model.to(device)
    if isinstance(model, StatisticsNet):
        model.statistics = Remembered(model, job.work / "cache")
    precision = torch.bfloat16 if job.precision == "bfloat16" else torch.float32
    reals = score(model, card.input, job.reals, job.reals.batches[0], precision=precision)
    threshold = threshold_at_fpr(reals.logits, FPR)
    place = Place(job.out, job.arm, job.config.seed)
    score_tests(model, card.input, job.tests, place, precision=precision, embedded=job.embedded)
    facts = Facts.model_validate(
        {
            "arm": job.arm,
            "seed": job.config.seed,
            "threshold": threshold,
            **_chosen(folder),
            "parameters": card.parameters,
            "seconds": card.training["seconds_since_last_start"],
            "seconds_scoring": round(time.perf_counter() - started - trained),
            "validation_reals": len(reals.logits),
            "config_sha256": config_sha256(job.config),
            "weights_sha256": card.weights_sha256,
            "configuration": job.config.told(),
            "input": card.input.model_dump(mode="json"),
            "precision": job.precision,
            "device": device,
            "commit": commit(),
            "torch": torch.__version__,
        }
    )
    told = "" if job.per_epoch is None else _score_epochs(job, folder, model, card, precision)
    write_facts(job.out, facts)
    for pattern in ("*.ckpt", f"{EPOCHS}/*.ckpt"):  # large, and of no more use
        for checkpoint in folder.glob(pattern):
            checkpoint.unlink()
    return f"{job.config.name}: validation AUC {facts.val_auc:.3f}, {facts.seconds:.0f} s{told}"


def _score_epochs(
    job: Job, folder: Path, model: nn.Module, card: Card, precision: torch.dtype
) -> str:
    """After everything honest is done; says why, if there are no scores of the epochs."""
    assert job.per_epoch is not None
    arm, seed = job.arm, job.config.seed
    epochs_path(job.out, arm, seed).unlink(missing_ok=True)
    try:
        found = score_epochs(
            folder, model, card.input, job.tests, job.per_epoch, precision=precision
        )
    except UnmaskError as error:  # an epoch that is not chosen may have diverged
        return f"; its epochs cannot be scored: {error.message}"
    if found is None:
        return "; it was trained before --compat, so its epochs cannot be scored"
    write_epochs(job.out, arm, seed, found)
    return ""


def _chosen(folder: Path) -> dict[str, float | int]:
    """Epoch and validation AUC of the checkpoint that was kept, from the training log."""
    best: dict[str, float | int] = {"val_auc": -1.0, "best_epoch": 0}
    for path in folder.glob("logs/*/metrics.csv"):
        log = pl.read_csv(path)
        for epoch, value in log.select("epoch", "val/auc").drop_nulls().rows():
            if value > best["val_auc"]:
                best = {"val_auc": float(value), "best_epoch": int(epoch)}
    return best


@dataclass(frozen=True)
class Place:
    """Where the scores of a run go: output folder, arm and seed."""

    out: Path
    arm: str
    seed: int


def score_tests(
    model: nn.Module,
    spec: InputSpec,
    tests: ViewStore,
    place: Place,
    *,
    precision: torch.dtype,
    embedded: Embedded | None = None,
) -> None:
    """Score every condition of a view store and write the scores.

    Args:
        model: in eval mode. spec: its input contract.
        tests: whose views were made for `spec`.
        place: what the scores are of.
        precision: of scoring.
        embedded: items of the picture of the embedding and their groups; None makes none.

    Raises:
        ShapeError: a logit is not finite.
    """
    tables = []
    for batch in tests.batches:
        keep = batch.condition == CLEAN and embedded is not None
        done = score(model, spec, tests, batch, precision=precision, keep_embeddings=keep)
        tables.append(
            pl.DataFrame(
                {
                    "item": pl.Series(batch.items, dtype=pl.UInt32),
                    "condition": [batch.condition] * len(batch.items),
                    "logit": pl.Series(done.logits, dtype=pl.Float32),
                }
            )
        )
        print(f"{batch.condition}: {len(batch.items)} items scored", file=sys.stderr)
        if keep and embedded is not None:
            _write_embedding(place, embedded, done)
    write_scores(place.out, place.arm, place.seed, pl.concat(tables), read_items(place.out))


def _write_embedding(place: Place, embedded: Embedded, done: Scored) -> None:
    assert done.embeddings is not None
    items, groups = embedded
    try:
        found = embedding_map(done.embeddings[items], groups)
    except ShapeError as error:  # a network that maps all pictures to one point has no plane
        print(f"no picture of the embedding: {error}", file=sys.stderr)
        return
    path = place.out / "embeddings" / f"{place.arm}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, found.model_dump_json() + "\n")
