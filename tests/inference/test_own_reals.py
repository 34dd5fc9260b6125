"""Thresholds fitted on a user's own reals: which source decides, and what a result then says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unmask.errors import ConfigError
from unmask.inference.detector import Detector
from unmask.inference.own_reals import (
    ALL,
    OTHERS,
    CalibrationFile,
    OwnReal,
    fit_on_reals,
    least_reals,
)
from unmask.metrics.bootstrap import wilson
from unmask.models.checkpoint import Decision, FeatureDomain

BANDS = [0.5] * 14


def reals(source: str, scores: Any, bands: Any = BANDS) -> list[OwnReal]:
    return [OwnReal(source, float(score), bands) for score in scores]


def spread(highest: float, count: int) -> Any:
    return np.linspace(0.01, highest, count)


def test_the_worst_source_decides(parts: Any) -> None:
    given = reals("phone", spread(0.4, 50)) + reals("archive", spread(0.95, 20))
    decision, rows = fit_on_reals(given, parts.decision(), fpr=0.1)
    scores = spread(0.95, 20)
    assert scores[-3] < decision.flag <= scores[-2]  # 2 of 20 are allowed
    assert [(r.source, r.reals, r.flagged_before, r.flagged) for r in rows] == [
        ("archive", 20, 4, 2),
        ("phone", 50, 0, 0),
    ]
    assert decision.fpr_at_flag == rows[0].fpr == 0.1
    assert decision.ci95 == rows[0].ci95 == wilson(2, 20)
    assert "70 reals" in decision.measured_on
    assert "20 archive, 50 phone" in decision.measured_on


def test_small_sources_count_together(parts: Any) -> None:
    given = [r for k in range(5) for r in reals(f"s{k}", [0.1, 0.5 + k / 20])]
    given += reals("large", spread(0.3, 10))
    decision, rows = fit_on_reals(given, parts.decision(), fpr=0.1)
    assert [(row.source, row.reals) for row in rows] == [(OTHERS, 10), ("large", 10)]
    assert 0.65 < decision.flag <= 0.7  # one of the ten small ones is allowed, the highest


def test_small_sources_alone_are_one_and_beside_large_ones_may_decide_nothing(parts: Any) -> None:
    given = reals("a", [0.1, 0.2]) + reals("b", [0.3, 0.9])
    decision, (row,) = fit_on_reals(given, parts.decision(), fpr=0.3)
    assert (row.source, row.reals, row.flagged) == (ALL, 4, 1)
    assert decision.measured_on == "4 reals of this user's own"
    few = reals("large", spread(0.3, 10)) + reals("small", [0.99])
    decision, rows = fit_on_reals(few, parts.decision(), fpr=0.1)
    assert decision.flag < 0.5
    assert [(row.source, row.flagged) for row in rows] == [(OTHERS, 1), ("large", 1)]
    assert decision.fpr_at_flag == 0.1


def test_clear_stays_below_flag_and_the_probability_is_the_cards(parts: Any) -> None:
    card = parts.decision()
    decision, _ = fit_on_reals(reals("a", spread(0.2, 100)), card, fpr=0.01)
    assert decision.clear == decision.flag < card.clear
    assert (decision.slope, decision.bias, decision.domain) == (card.slope, card.bias, card.domain)


def test_the_limits_of_the_domain_are_those_of_the_reals(parts: Any) -> None:
    bands = np.random.default_rng(0).normal(3, 1, (200, 14))
    given = [OwnReal("a", 0.1 + i / 1000, row.tolist()) for i, row in enumerate(bands)]
    decision, _ = fit_on_reals(given, parts.decision(), fpr=0.01)
    assert np.allclose(np.array(decision.bands)[:, 1], np.median(bands, axis=0))
    low, high = np.array(decision.band_limits).T
    assert ((low < bands.min(0)) & (high > bands.max(0))).all()
    assert low.min() > -9  # the card's


def test_of_few_reals_the_wider_limits_hold(parts: Any) -> None:
    bands = np.random.default_rng(0).normal(3, 0.1, (100, 14))
    given = [OwnReal("a", 0.1 + i / 1000, row.tolist()) for i, row in enumerate(bands)]
    card = parts.decision(band_limits=[(2.9, 9.0)] * 7 + [(-9.0, 2.9)] * 7)
    decision, _ = fit_on_reals(given, card, fpr=0.01)
    low, high = np.array(decision.band_limits).T
    assert (high[:7] == 9).all()
    assert (low[7:] == -9).all()
    assert ((low < bands.min(0)) & (high > bands.max(0))).all()


@pytest.mark.parametrize(
    ("count", "farthest", "limit"),
    [(100, 1.0, 2.0), (100, 9.0, 9.0), (401, 9.0, 9.0 * 398 / 400)],
    ids=["within the card's", "few: all", "many: all but the strangest in 200"],
)
def test_features_of_the_reals_become_familiar(
    count: int, farthest: float, limit: float, parts: Any
) -> None:
    features = FeatureDomain(
        centres=[[0.0]], directions=[[1.0]], variances=[1.0], rest=1.0, limit=2.0
    )
    given = [OwnReal("a", 0.1, BANDS, far) for far in np.linspace(0, farthest, count)]
    decision, _ = fit_on_reals(given, parts.decision(features=features), fpr=0.01)
    assert decision.features is not None
    assert decision.features.limit == pytest.approx(limit)


def test_too_few_reals_are_refused(parts: Any) -> None:
    assert least_reals(0.02) == 50
    with pytest.raises(ConfigError, match=r"49 reals .* needs at least 50.*\n?.*--fpr 0\.02"):
        fit_on_reals(reals("a", spread(0.5, 49)), parts.decision(), fpr=0.02)


def made(decision: Decision, sha256: str = "00") -> CalibrationFile:
    return CalibrationFile(
        tool="unmask test",
        model="stand-in",
        weights_sha256=sha256,
        max_frames=32,
        fpr=0.01,
        decision=decision,
        sources=(),
    )


def test_a_file_is_read_as_written_and_another_is_refused(parts: Any, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    file = made(parts.decision())
    path.write_text(file.to_json())
    assert CalibrationFile.read(path) == file
    path.write_text('{"format": "unmask.checkpoint/1"}')
    with pytest.raises(ConfigError, match="no calibration of unmask"):
        CalibrationFile.read(path)
    with pytest.raises(ConfigError, match=r"none\.json cannot be read"):
        CalibrationFile.read(tmp_path / "none.json")


@pytest.fixture
def build(make: Callable[..., Detector]) -> Callable[..., Detector]:
    """A detector with a calibration over the stand-in's own decision."""

    def put(own: CalibrationFile, **changes: object) -> Detector:
        base = make(**changes)
        return Detector(
            base._network, base.card, face_detector=base._faces, calibration=own
        )  # fmt: skip

    return put


def test_results_follow_the_calibration(build: Any, make: Any, parts: Any) -> None:
    own = parts.decision(
        flag=0.95, measured_on="412 reals of this user's own", band_limits=[(-9.0, -8.0)] * 14
    )
    media = parts.still(parts.picture([parts.level_of(0.9)]))
    before = make().examine([media])[0].result
    detector = build(made(own))
    now = detector.examine([media])[0].result
    assert before.verdict == "likely_manipulated"
    assert (now.verdict, now.reasons) == ("inconclusive", ["out_of_domain"])
    assert now.threshold is not None
    assert now.threshold.measured_on == "412 reals of this user's own"
    assert now.score == before.score
    assert now.calibrated == before.calibrated  # the card's, and in the card's domain
    assert now.run is not None
    assert now.run.settings_sha256 == detector.settings_sha256 != make().settings_sha256


def test_the_probability_has_the_cards_domain(build: Any, parts: Any) -> None:
    media = parts.still(parts.picture([parts.level_of(0.9)]))
    detector = build(made(parts.decision()), band_limits=[(-9.0, -8.0)] * 14)
    result = detector.examine([media])[0].result
    assert result.verdict == "likely_manipulated"  # within what the user's reals are like
    assert result.calibrated.in_domain is False


def test_the_bands_of_the_deciding_face_are_told(make: Any, parts: Any) -> None:
    media = parts.still(parts.picture([parts.level_of(0.1), parts.level_of(0.9)]))
    detector = make()
    alone = detector.examine([parts.still(parts.picture([parts.level_of(0.1)]))])[0]
    both = detector.examine([media])[0]
    assert both.bands is not None
    assert len(both.bands) == 14
    assert both.bands != alone.bands
    assert detector.examine([parts.still(parts.picture([], code=0))])[0].bands is None


def test_a_calibration_for_other_weights_is_refused(build: Any, parts: Any) -> None:
    with pytest.raises(ConfigError, match="made for other weights"):
        build(made(parts.decision(), sha256="ff"))
