"""Each verdict, status and reason has its sentence, and none claims too much."""

from __future__ import annotations

import pytest

from unmask.apps.report import text
from unmask.results import REASONS, Calibrated, FaceFrame, FaceTrack, Threshold

FORBIDDEN = ("authentic", "100%", "certain", "is real", "is fake", "proves")


def test_flagged_names_threshold_rate_interval_and_source(build) -> None:
    assert text.finding(build.scored()) == (
        "Likely manipulated: the score of 0.900 reaches the flag threshold of 0.800. Of real "
        "faces, about 1% (95% CI 0.3–2.4%) reach that threshold too; measured on held-out reals."
    )


def test_inconclusive_lies_between_the_thresholds(build) -> None:
    said = text.finding(build.scored("inconclusive", 0.5))
    assert said.startswith("Inconclusive: the score of 0.500 lies between")
    assert "0.300 and 0.800" in said
    assert "1% (95% CI 0.3–2.4%)" in said
    assert "held-out reals" in said


def test_inconclusive_for_another_cause_does_not_claim_to_lie_between(build) -> None:
    said = text.finding(build.scored("inconclusive", 0.9, reasons=["too_few_frames"]))
    assert "lies between" not in said
    assert "0.900" in said


def test_low_scores_are_no_clearance(build) -> None:
    said = text.finding(build.scored("no_evidence_found", 0.1))
    assert said.startswith("No evidence found: the score of 0.100 is below")
    assert "does not show that the input is genuine" in said
    assert "1% (95% CI 0.3–2.4%)" in said


def test_without_thresholds_no_rate_is_made_up(build) -> None:
    said = text.finding(build.scored(threshold=None))
    assert "No error rate is known" in said
    assert "%" not in said


def test_score_and_threshold_never_look_the_same_on_either_side(build) -> None:
    near = Threshold(flag=0.8001, clear=0.3, fpr_at_flag=0.01, ci95=(0, 0.1), measured_on="x")
    said = text.finding(build.scored("inconclusive", 0.80004, threshold=near))
    assert "score of 0.8000 lies" in said
    assert "and 0.8001" in said


@pytest.mark.parametrize("verdict", ["likely_manipulated", "inconclusive", "no_evidence_found"])
@pytest.mark.parametrize("score", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_no_finding_claims_too_much(build, verdict: str, score: float) -> None:
    said = text.finding(build.scored(verdict, score)).lower()
    assert said.startswith(text.GROUPS[verdict].lower())
    assert not [word for word in FORBIDDEN if word in said]


def test_every_reason_has_its_advice() -> None:
    assert set(text.ADVICE) == set(REASONS)
    assert all(advice[0].isupper() and advice[-1] == "." for advice in text.ADVICE.values())


@pytest.mark.parametrize("reason", sorted(REASONS))
@pytest.mark.parametrize("status", ["not_applicable", "limit_exceeded", "unreadable", "error"])
def test_failures_say_why_and_what_to_do(build, reason: str, status: str) -> None:
    result = build.failed(reason, status)
    assert text.finding(result).startswith(f"Not scored: {REASONS[reason]}.")
    (note,) = text.notes(result)
    assert note.what.lower().rstrip(".") == REASONS[reason].lower()
    assert note.advice == text.ADVICE[reason]


def test_a_message_with_advice_replaces_the_general_advice(build) -> None:
    result = build.failed("too_long").model_copy(update={"message": "It is 9 h.\n  Cut it."})
    (note,) = text.notes(result)
    assert note.advice == ""


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        ([], "unlike the pictures"),
        (["out_of_domain"], "unlike the pictures"),
        (["unfamiliar"], "unlike both the real and the manipulated faces"),
    ],
)
def test_out_of_domain_is_said_once_and_first(build, reasons: list[str], words: str) -> None:
    away = Calibrated(p_fake=0.5, log10_lr=None, domain="held-out", in_domain=False)
    result = build.scored(reasons=reasons, **({} if reasons else {"calibrated": away}))
    warning = text.domain_warning(result)
    assert warning is not None
    assert words in warning
    assert text.ADVICE["out_of_domain"] in warning
    assert text.notes(result) == []
    assert text.domain_warning(build.scored()) is None


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1.0, "10 times as probable for manipulated faces as for real ones"),
        (-0.5, "3.2 times as probable for real faces as for manipulated ones"),
    ],
)
def test_calibrated_puts_the_likelihood_ratio_in_words(build, ratio: float, words: str) -> None:
    fit = Calibrated(p_fake=1.0, log10_lr=ratio, domain="held-out reals", in_domain=True)
    said = text.calibrated(build.scored(calibrated=fit))
    assert said.startswith("> 0.999")
    assert words in said
    assert "held-out reals" in said
    assert text.calibrated(build.scored(calibrated=None)) == "not available for this model"


@pytest.mark.parametrize("ratio", [None, 0.9])  # earlier versions recorded one
def test_no_likelihood_ratio_is_told_outside_the_domain(build, ratio: float | None) -> None:
    fit = Calibrated(p_fake=0.9, log10_lr=ratio, domain="held-out reals", in_domain=False)
    said = text.calibrated(build.scored(calibrated=fit))
    assert "OUT OF DOMAIN" in said
    assert "times as probable" not in said
    assert "held-out reals" in said


def test_quality_flags_in_words() -> None:
    frames = [
        FaceFrame(index=k, box=(0, 0, 1, 1), score=0.5, quality=flags)
        for k, flags in enumerate(["ok", "too_blurry+too_dark", "too_blurry"])
    ]
    whole = FaceTrack(id=0, score=0.5, frames=frames)
    assert text.track_quality(whole) == "good in 1 of 3, too blurry in 2 of 3, too dark in 1 of 3"
    assert text.track_quality(FaceTrack(id=0, score=0.5, frames=frames[:1])) == "good"
    assert text.quality("too_small+new_flag") == "too small, new flag"


def test_bands_summary_counts_and_names() -> None:
    assert text.bands_summary([], 14).startswith("All 14 bands lie within")
    assert text.bands_summary([3], 14).startswith("1 of 14 bands lies outside")
    assert "(bands 3, 14)" in text.bands_summary([3, 14], 14)
