"""ROC and DET points to draw: few, and dense where the errors are rare."""

from __future__ import annotations

import numpy as np

from unmask.evaluation.comparison.draws import Indices
from unmask.evaluation.comparison.layout import UNSEEN
from unmask.evaluation.comparison.metrics import Measured, why_missing
from unmask.evaluation.comparison.result import CurveRow
from unmask.evaluation.comparison.scores import Board
from unmask.evaluation.comparison.sets import Units
from unmask.metrics.curve import Floats
from unmask.metrics.ranking import det_curve

MOST = 200


def thinned(fpr: Floats, fnr: Floats, most: int = MOST) -> Indices:
    """Which points of a curve to keep, ascending; at most `most`.

    Only corners matter to its shape. Of too many corners those are kept that lie nearest to steps
    even in FPR, in log FPR and in log FNR, and both ends.

    Args:
        fpr: (K,) ascending from 0 to 1. fnr: (K,) descending from 1 to 0.
        most: at least 8.
    """
    across, up = np.diff(fpr) > 0, np.diff(fnr) < 0
    straight = (across[1:] == across[:-1]) & (up[1:] == up[:-1]) & (across[1:] != up[1:])
    corners = np.flatnonzero(np.concatenate([[True], ~straight, [True]]))
    if len(corners) <= most:
        return corners
    x, y = fpr[corners], fnr[corners]
    steps = (most - 2) // 3
    kept = {0, len(corners) - 1}
    kept |= set(np.searchsorted(x, np.linspace(0, 1, steps)).tolist())
    kept |= set(np.searchsorted(x, _even_in_log(x[x > 0].min(), steps)).tolist())
    kept |= set((np.searchsorted(-y, -_even_in_log(y[y > 0].min(), steps))).tolist())
    places = np.array(sorted(min(place, len(corners) - 1) for place in kept), np.intp)
    return corners[np.unique(places)]


def _even_in_log(least: float, steps: int) -> Floats:
    return np.asarray(np.geomspace(least, 1, steps))


def curves(board: Board, measured: Measured) -> tuple[CurveRow, ...]:
    """Points of every arm on `unseen`, of the seed with the median frame AUC (of an even number
    the lower of the two in the middle)."""
    units, rows = Units.frames(board.items, UNSEEN), []
    for arm in board.arms:
        areas = {s: row[0] for s, row in measured.rows(board, arm, "auc").items()}
        if not areas:
            why = why_missing(board, arm, measured)
            rows.append(CurveRow(arm=arm, seed=None, fpr=(), tpr=(), fnr=(), reason=why))
            continue
        ordered = sorted(areas, key=lambda seed: (areas[seed], seed))
        seed = ordered[(len(ordered) - 1) // 2]
        fpr, fnr, _ = det_curve(units.fake, units.judged(board.runs[arm, seed])[0])
        kept = thinned(fpr, fnr)
        rows.append(
            CurveRow(
                arm=arm,
                seed=seed,
                fpr=tuple(fpr[kept].tolist()),
                tpr=tuple((1 - fnr[kept]).tolist()),
                fnr=tuple(fnr[kept].tolist()),
            )
        )
    return tuple(rows)
