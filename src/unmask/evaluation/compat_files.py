"""The files of `unmask benchmark --compat`: what flawed evaluations make of every run's scores.

    OUT/expected.parquet           the videos that the tests ask for, with and without a face
    OUT/epochs/ARM/seed-N.parquet  scores of the set `unseen` by the checkpoint of every epoch
    OUT/compat.json                the rows of `evaluation.compat`, from these and the scores

Nothing honest is computed from them. A run of which not all epochs were kept has no such scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unmask.data.atomic import replace_text
from unmask.errors import DatasetError, UnmaskError
from unmask.evaluation.comparison.layout import CLEAN, UNSEEN, typed
from unmask.evaluation.comparison.result import read_result
from unmask.evaluation.comparison.scores import Board, sha256_of, write_table
from unmask.evaluation.comparison.verify import agree
from unmask.evaluation.compat import Epochs, compat_table
from unmask.evaluation.compat_row import Bootstrap, CompatRow

EXPECTED_COLUMNS: dict[str, pl.DataType] = {
    "video_id": pl.String(),
    "label": pl.UInt8(),
    "cluster": pl.String(),
    "sets": pl.List(pl.String()),
}
"""Of expected.parquet, one row per video; the columns mean what they mean in items.parquet."""

EPOCH_COLUMNS: dict[str, pl.DataType] = {
    "epoch": pl.UInt32(),
    "val_auc": pl.Float64(),
    "item": pl.UInt32(),
    "logit": pl.Float32(),
}
"""Of a run's epochs, one row per epoch and item of `unseen`."""

FEWER = 4
"""The first frames of a video are a quarter of the frames it has at most, to be nearly alike."""
_AGAIN = "Delete the file and run the benchmark with --compat again."


class CompatRun(BaseModel):
    """All practices on one run and one test set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arm: str
    seed: int
    set: str
    rows: tuple[CompatRow, ...]


class CompatFile(BaseModel):
    """compat.json.

    Attributes:
        frames: n of the practice `first_frames`.
        draws, seed, level: of the intervals.
        runs: by arm, seed and set.
        files: path inside the folder -> SHA-256 of what was read beside the scores.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_id: Literal["unmask.compat/1"] = Field(default="unmask.compat/1", alias="schema")
    frames: int
    draws: int
    seed: int
    level: float
    runs: tuple[CompatRun, ...]
    files: dict[str, str]

    def to_json(self) -> str:
        """As it is written."""
        content = self.model_dump(mode="json", by_alias=True)
        return json.dumps(content, indent=1, allow_nan=False) + "\n"


def expected_path(out: Path) -> Path:
    """OUT/expected.parquet: where it is, a comparison has compatibility rows."""
    return out / "expected.parquet"


def epochs_path(out: Path, arm: str, seed: int) -> Path:
    """OUT/epochs/ARM/seed-N.parquet."""
    return out / "epochs" / arm / f"seed-{seed}.parquet"


def compat_path(out: Path) -> Path:
    """OUT/compat.json."""
    return out / "compat.json"


def write_expected(out: Path, videos: pl.DataFrame) -> None:
    """Write the videos that the tests ask for, as `EXPECTED_COLUMNS`.

    Raises:
        DatasetError: columns that do not fit.
    """
    write_table(expected_path(out), typed(videos, EXPECTED_COLUMNS, "The expected videos"), {})


def write_epochs(out: Path, arm: str, seed: int, scores: pl.DataFrame) -> None:
    """Write the scores of a run's epochs, as `EPOCH_COLUMNS`.

    Raises:
        DatasetError: columns that do not fit.
    """
    table = typed(scores, EPOCH_COLUMNS, "The scores of the epochs").sort("epoch", "item")
    write_table(epochs_path(out, arm, seed), table, {"arm": arm, "seed": str(seed)})


def read_epochs(out: Path, arm: str, seed: int) -> Epochs | None:
    """Epoch -> validation AUC and scores, as `compat.selected_on_test` takes them; None without.

    Raises:
        DatasetError: no Parquet, other columns, another run's, or an epoch with two AUCs.
    """
    path = epochs_path(out, arm, seed)
    if not path.is_file():
        return None
    table = typed(_read(path), EPOCH_COLUMNS, str(path))
    told = pl.read_parquet_metadata(path)
    if (told.get("arm"), told.get("seed")) != (arm, str(seed)):
        raise DatasetError(
            f"{path} holds epochs of arm {told.get('arm')!r}, seed {told.get('seed')!r}.", _AGAIN
        )
    found: dict[int, tuple[float, pl.DataFrame]] = {}
    for (epoch, auc), part in table.partition_by(
        "epoch", "val_auc", as_dict=True, maintain_order=True
    ).items():
        if epoch in found:
            raise DatasetError(f"{path}: epoch {epoch} has two validation AUCs.", _AGAIN)
        scores = part.select("item", pl.lit(CLEAN).alias("condition"), "logit")
        found[int(epoch)] = (float(auc), scores)
    return found


def make_compat(out: Path, board: Board, bootstrap: Bootstrap | None = None) -> CompatFile | None:
    """The compatibility rows of a folder, per arm, seed and test of the protocol.

    Args:
        out: the folder. board: what was read from it.
        bootstrap: of the intervals.

    Returns:
        None where the folder has no expected.parquet: the comparison was made without --compat.

    Raises:
        DatasetError: a file is damaged, or does not fit the items.
    """
    path = expected_path(out)
    if not path.is_file():
        return None
    bootstrap = bootstrap or Bootstrap()
    expected = typed(_read(path), EXPECTED_COLUMNS, str(path))
    names = sorted(set(expected["sets"].explode().to_list()))
    frames = first_frames_of(board.items)
    runs = []
    for (arm, seed), run in board.runs.items():
        epochs = read_epochs(out, arm, seed)
        for name in names:
            rows = compat_table(
                board.items,
                run.scores,
                frames=frames,
                set_name=name,
                per_epoch=epochs if name == UNSEEN else None,
                expected=expected.filter(pl.col("sets").list.contains(name)),
                bootstrap=bootstrap,
            )
            runs.append(CompatRun(arm=arm, seed=seed, set=name, rows=tuple(rows)))
    read = [path, *(p for key in board.runs if (p := epochs_path(out, *key)).is_file())]
    return CompatFile(
        frames=frames,
        draws=bootstrap.draws,
        seed=bootstrap.seed,
        level=bootstrap.level,
        runs=tuple(runs),
        files={p.relative_to(out).as_posix(): sha256_of(p) for p in read},
    )


def first_frames_of(items: pl.DataFrame) -> int:
    """How many first frames a flawed evaluation of these items would take, at least 1."""
    most = items.group_by("video_id").len()["len"].max()
    return max(1, int(most) // FEWER) if isinstance(most, int) else 1


def write_compat(out: Path, found: CompatFile) -> None:
    """Write OUT/compat.json."""
    replace_text(compat_path(out), found.to_json())


def verify_compat(out: Path) -> list[str]:
    """Where OUT/compat.json differs from what its files give; one line per difference.

    Returns:
        Empty when all agrees, or when the comparison was made without --compat.

    Raises:
        DatasetError: result.json, which names arms and seeds, is missing or damaged.
    """
    path = compat_path(out)
    if not path.is_file() and not expected_path(out).is_file():
        return []
    result = read_result(out)
    try:
        stated = CompatFile.model_validate_json(path.read_bytes())
        bootstrap = Bootstrap(stated.draws, stated.seed, stated.level)
        board = Board.read(out, arms=result.arms, seeds=result.seeds, protocol=result.protocol)
        again = make_compat(out, board, bootstrap)
    except OSError as error:
        return [f"compat.json cannot be read: {error.strerror}"]
    except ValidationError as error:
        return [f"compat.json does not follow unmask.compat/1: {error.errors()[0]['msg']}"]
    except UnmaskError as error:
        return [f"compat.json cannot be computed again: {error.message}"]
    if again is None:
        return [f"compat.json is there, but not {expected_path(out).name}"]
    return list(_differences(stated.to_json(), again.to_json()))


def _differences(stated: str, again: str) -> Iterator[str]:
    before, after = (dict(_leaves(json.loads(text), "compat.json")) for text in (stated, again))
    for at in dict.fromkeys((*before, *after)):
        if at not in after or at not in before:
            yield f"{at}: only {'when computed again' if at in after else 'in the file'}"
        elif not agree(before[at], after[at]):
            yield f"{at}: {before[at]!r} in the file, {after[at]!r} when computed again"


def _leaves(node: Any, at: str) -> Iterator[tuple[str, Any]]:
    """(place, value) of everything that is no list and no mapping."""
    inside: Sequence[tuple[Any, Any]] | None = None
    if isinstance(node, Mapping):
        inside = list(node.items())
    elif isinstance(node, list):
        inside = list(enumerate(node))
    if not inside:
        yield at, node
        return
    for key, value in inside:
        yield from _leaves(value, f"{at}[{key!r}]")


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"{path} is no Parquet file that can be read.", _AGAIN) from error
