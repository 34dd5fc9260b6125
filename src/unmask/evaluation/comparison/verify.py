"""Does a result follow from its score files? Everything is computed again and held against it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unmask.errors import UnmaskError
from unmask.evaluation.comparison.result import Result, read_result
from unmask.evaluation.comparison.scores import Board
from unmask.evaluation.comparison.tables import compare

RELATIVE = 1e-9
"""Numbers nearer than this, relative to the larger, agree: sums may be ordered differently."""


def verify(out: Path) -> list[str]:
    """Where OUT/result.json differs from what its score files give, in the order of the file.

    Arms, seeds, reference and the draws are taken from the result itself; files that were added,
    removed or changed since are named. Score files that cannot be read are one difference.

    Returns:
        One line per difference; empty when all agrees.

    Raises:
        DatasetError: result.json is missing or does not follow the schema.
    """
    stated = read_result(out)
    try:
        again = computed_again(out, stated, stated.reference)
    except UnmaskError as error:
        return [f"the tables cannot be computed again: {error.message}"]
    return list(differences(_data(stated), _data(again)))


def computed_again(out: Path, stated: Result, reference: str) -> Result:
    """The tables of a comparison from its score files, against any of its arms.

    Args:
        out: folder of the comparison.
        stated: its result, of which arms, seeds and the draws are taken.
        reference: the arm that the others are compared with.

    Raises:
        ConfigError: the reference is no arm.
        DatasetError: a file is missing or damaged.
    """
    board = Board.read(out, arms=stated.arms, seeds=stated.seeds, protocol=stated.protocol)
    return compare(
        board, reference=reference, draws=stated.draws, seed=stated.seed, level=stated.level
    )


def _data(result: Result) -> Any:
    return json.loads(result.to_json())


def differences(stated: Any, again: Any, at: str = "", file: str = "result.json") -> Iterator[str]:
    """Where the contents of a JSON file differ from what was computed again, a line each.

    Args:
        stated: of the file. again: what it should be; both as `json.loads` gives them.
        at: where in the file both stand.
        file: its name.
    """
    if isinstance(stated, dict) and isinstance(again, dict):
        for key in [*stated, *(k for k in again if k not in stated)]:
            where = f"{at}[{key!r}]" if at == "files" else f"{at}.{key}" if at else key
            if key not in again:
                yield f"{where}: in {file}, but not when computed again"
            elif key not in stated:
                yield f"{where}: not in {file}, but when computed again"
            else:
                yield from differences(stated[key], again[key], where, file)
    elif isinstance(stated, list) and isinstance(again, list):
        if len(stated) != len(again):
            yield f"{at}: {len(stated)} entries in {file}, {len(again)} when computed again"
        for place, pair in enumerate(zip(stated, again, strict=False)):
            yield from differences(*pair, f"{at}[{place}]", file)
    elif not agree(stated, again):
        yield f"{at}: {stated!r} in {file}, {again!r} when computed again"


def agree(stated: Any, again: Any) -> bool:
    """Whether two values of a JSON are the same, numbers to `RELATIVE`."""
    if isinstance(stated, float) and isinstance(again, float):
        return math.isclose(stated, again, rel_tol=RELATIVE, abs_tol=1e-12)
    return type(stated) is type(again) and bool(stated == again)
