"""Every English sentence of a report that depends on a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.apps.report import numbers
from unmask.results import REASONS, FaceTrack, Result

GROUPS: dict[str, str] = {
    "likely_manipulated": "Likely manipulated",
    "inconclusive": "Inconclusive",
    "not_scored": "Not scored",
    "no_evidence_found": "No evidence found",
}
"""The groups of inputs in the order of the table, each with its label."""

STATUS: dict[str, str] = {
    "scored": "Scored",
    "not_applicable": "Not applicable",
    "limit_exceeded": "Over a limit",
    "unreadable": "Unreadable",
    "error": "Failed",
}

ADVICE: dict[str, str] = {
    "no_face": "Check by eye whether a face is there; if so, supply a larger or clearer copy.",
    "missing": "Check the path, and that the drive it is on is connected.",
    "empty_file": "Get the file again from its source; the copy or download did not complete.",
    "unsupported_format": "Check what the file really is, and export it as JPEG, PNG or MP4.",
    "damaged": "Get the file again from its source. Do not repair it: a repair changes the pixels.",
    "no_video_stream": "Check that this is the right file; it may hold sound only.",
    "zero_frames": "Get the file again from its source, or export it as MP4 (H.264).",
    "too_many_pixels": "Raise it (--max-megapixels) if you trust the file, or cut the face out.",
    "too_many_bytes": "Raise it (--max-megabytes) if you trust the file, or supply a part of it.",
    "too_long": "Cut the part in question out without re-encoding, or raise it (--max-duration).",
    "timeout": "Try again on a faster or less busy machine, or raise the limit (--timeout).",
    "decoder_crashed": "Treat the file with care. Get it again from its source and scan it alone.",
    "out_of_memory": "Scan it on a machine with more memory, or raise the memory limit.",
    "permission_denied": "Give the user who runs the scan the right to read the file.",
    "internal_error": "Report it to the makers of unmask, with the message and the version.",
    "truncated": "Get the whole file from its source.",
    "face_too_small": "Look for a larger original; do not enlarge this one.",
    "too_blurry": "Look for a sharper frame or an original that was not re-encoded.",
    "blurry": "Look for a sharper frame or an original that was not re-encoded.",
    "too_dark": "Look for a better lit frame; do not brighten this one.",
    "too_few_frames": "Supply a longer part of the clip, or let the scan read more frames.",
    "out_of_domain": "Rely on the pictures and on the source rather than on the score.",
    "unfamiliar": "Rely on the pictures and on the source rather than on the score.",
}
"""What to do about each of `unmask.results.REASONS`."""

UNLIKE = {
    "out_of_domain": "this input is unlike the pictures the error rate was measured on",
    "unfamiliar": "what the network sees in this input is unlike both the real and the manipulated "
    "faces that it was measured on",
}
"""What `domain_warning` says of each reason that it speaks for."""

QUALITY: dict[str, str] = {
    "ok": "good",
    "too_small": "too small",
    "too_blurry": "too blurry",
    "blurry": "blurry",
    "too_dark": "too dark",
}

LIMITS = (
    "This is an indication, not proof. A verdict needs the source, the context and a human eye.",
    "Only traces of manipulated faces were looked for. Other manipulations (a changed background, "
    "caption, date, voice or cut) were not tested.",
    "The error rates hold only for pictures like those they were measured on.",
    "A low score does not show that a picture is genuine: a manipulation of a kind the model has "
    "not learnt, or one followed by strong compression, can leave no trace that it sees.",
)
"""What no report can show; holds for every input."""

HEATMAP_NOTE = (
    "In the heatmap, bright colours mark the parts of this crop on which the score depends most, "
    "dark and clear ones those on which it depends least. The map explains the model, not the "
    "picture: it is not an outline of a manipulated region. The scale is relative to this crop, so "
    "colours cannot be compared between crops."
)

RESIDUAL_NOTE = (
    "The residual is what remains when the smooth part of every 8 × 8 block is taken away; "
    "mid-grey is zero. Grids, repeated patterns or patches with a different grain can come from a "
    "manipulation, and just as well from compression, resizing or retouching."
)


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about an input, and what to do about it."""

    what: str
    advice: str


def group_of(result: Result) -> str:
    """The key in `GROUPS` under which an input is listed."""
    return result.verdict or "not_scored"


def finding(result: Result) -> str:
    """The finding in a sentence or two, with the error rate and what it was measured on."""
    if result.score is None or result.verdict is None:
        return not_scored(result)
    place = _place(result)
    if result.verdict == "likely_manipulated":
        return f"Likely manipulated: {place} {_rate(result)}"
    if result.verdict == "inconclusive":
        neither = "This says neither that the faces are manipulated nor that they are not."
        return f"Inconclusive: {place} {neither} {_rate(result)}"
    caution = "This does not show that the input is genuine."
    return f"No evidence found: {place} {caution} {_rate(result)}"


def _place(result: Result) -> str:
    """Where the score lies, in a clause that ends the first sentence."""
    value, limits = result.score or 0.0, result.threshold
    if limits is None:
        return f"the score is {numbers.score(value)}."
    if result.verdict == "inconclusive":
        digits = max(numbers.digits_apart(value, edge) for edge in (limits.flag, limits.clear))
        shown, clear, flag = (numbers.score(v, digits) for v in (value, limits.clear, limits.flag))
        if limits.clear <= value < limits.flag:
            return f"the score of {shown} lies between the thresholds {clear} and {flag}."
        return (
            f"the score is {shown} (thresholds {clear} and {flag}), but the conditions named below "
            "do not allow a firmer finding."
        )
    flagged = result.verdict == "likely_manipulated"
    edge = limits.flag if flagged else limits.clear
    digits = numbers.digits_apart(value, edge)
    relation = "reaches the flag threshold of" if flagged else "is below the clear threshold of"
    return f"the score of {numbers.score(value, digits)} {relation} {numbers.score(edge, digits)}."


def _rate(result: Result) -> str:
    """How often real faces are flagged, and where that was measured."""
    limits = result.threshold
    if limits is None:
        return "No error rate is known for this model, so the score cannot be weighed."
    interval = numbers.percent_range(*limits.ci95)
    rate = f"about {numbers.percent(limits.fpr_at_flag)} (95% CI {interval})"
    source = f"measured on {limits.measured_on.rstrip('.')}"
    if result.verdict == "likely_manipulated":
        return f"Of real faces, {rate} reach that threshold too; {source}."
    return (
        f"Of real faces, {rate} reach the flag threshold of {numbers.score(limits.flag)}; {source}."
    )


def not_scored(result: Result) -> str:
    """Why an input has no score, in one sentence."""
    why = "; ".join(REASONS[r] for r in result.reasons) or STATUS[result.status].lower()
    return f"Not scored: {why}. This says nothing about whether the input is manipulated."


def notes(result: Result) -> list[Note]:
    """What each reason means, and what to do.

    `domain_warning` speaks for those of `UNLIKE`, and a message of several lines (what is wrong,
    then what to do) gives better advice than the general one.
    """
    advised = "\n" in (result.message or "")
    said = UNLIKE if domain_warning(result) else {}
    return [
        Note(_sentence(REASONS[r]), "" if advised else ADVICE[r])
        for r in result.reasons
        if r not in said
    ]


def domain_warning(result: Result) -> str | None:
    """A warning where the error rate may not hold; None where nothing is known against it."""
    unlike = result.calibrated is not None and not result.calibrated.in_domain
    found = [words for reason, words in UNLIKE.items() if reason in result.reasons]
    why = "; ".join(found) or UNLIKE["out_of_domain"]
    if result.status != "scored" or not (unlike or found):
        return None
    return (
        f"Outside the measured domain: {why}. The rate and the probability given here may not "
        "hold. " + ADVICE["out_of_domain"]
    )


def calibrated(result: Result) -> str:
    """The calibrated probability with its domain, for the technical record."""
    fit = result.calibrated
    if fit is None:
        return "not available for this model"
    chance = f"{numbers.score(fit.p_fake)} at equal priors"
    if fit.log10_lr is None or not fit.in_domain:
        return (
            f"{chance}, fitted on {fit.domain}; this input is OUT OF DOMAIN: do not rely on it. No "
            "likelihood ratio is given outside the domain."
        )
    ratio = 10.0 ** abs(fit.log10_lr)
    kinds = ("manipulated", "real") if fit.log10_lr >= 0 else ("real", "manipulated")
    times = f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:,.0f}"
    return (
        f"{chance}; log10 likelihood ratio {numbers.level(fit.log10_lr)}: such a score is {times} "
        f"times as probable for {kinds[0]} faces as for {kinds[1]} ones. Fitted on {fit.domain}; "
        "this input is in domain."
    )


def quality(flags: str) -> str:
    """A `FaceFrame.quality` in words."""
    return ", ".join(QUALITY.get(flag, flag.replace("_", " ")) for flag in flags.split("+"))


def track_quality(track: FaceTrack) -> str:
    """The quality of a face over all its frames, in words."""
    tally: dict[str, int] = {}
    for frame in track.frames:
        for flag in frame.quality.split("+"):
            tally[flag] = tally.get(flag, 0) + 1
    total = len(track.frames)
    if total == 1 or set(tally) == {"ok"}:
        return quality("+".join(tally) or "ok")
    return ", ".join(f"{quality(flag)} in {n} of {total}" for flag, n in sorted(tally.items()))


def bands_summary(outside: Sequence[int], total: int) -> str:
    """How a face's band energies compare with real faces'; `outside` holds band numbers."""
    chance = "About one value in ten of a real face lies outside by the definition of the range."
    if not outside:
        return f"All {total} bands lie within the range of 5% to 95% of real faces. {chance}"
    named = ", ".join(map(str, outside))
    verb, noun = ("lies", "band") if len(outside) == 1 else ("lie", "bands")
    return (
        f"{len(outside)} of {total} bands {verb} outside the range of 5% to 95% of real faces "
        f"({noun} {named}). {chance}"
    )


def residual_gain(gain: float) -> str:
    """How the grey of a residual picture is to be read."""
    return (
        f"Gain {gain:g}: black is −{127.5 / gain:.1f} and white +{127.5 / gain:.1f} grey "
        "levels or beyond."
    )


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
