"""An audit as a table for people: judged cues first, then what is only reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unmask.apps.cli.output import printable

if TYPE_CHECKING:
    from unmask.evaluation.audit import Audit, AuditFile, CueReport, Measured

USUAL = 20
"""Columns for a typical value; a longer one loses its end."""


def lines(document: AuditFile) -> Iterator[str]:
    """The tables of all sets, line by line."""
    for number, done in enumerate(document.sets):
        yield from ([""] if number else [])
        yield from _table(done)


def _table(done: Audit) -> Iterator[str]:
    after = ", after the protocol's normalising step" if done.normalised else ""
    sampled = f", at most {done.sample} of a kind" if done.sample else ""
    yield (
        f"{printable(done.name)}: {done.reals} real and {done.fakes} fake videos or stills, "
        f"{done.measured} of {done.items} items measured{sampled}{after}"
    )
    groups = list(dict.fromkeys(cue.manipulation for cue in done.cues))
    for manipulation in groups:
        yield ""
        yield f"{manipulation or 'all fakes'} against reals"
        yield _line("cue", "", "AUC [95%]", "held out [95%]", "reals mostly", "fakes mostly")
        for cue in done.cues:
            if cue.manipulation == manipulation:
                yield _row(cue)
    bound = f"{0.5 - done.bound:g} to {0.5 + done.bound:g}"
    leaks = ", ".join(dict.fromkeys(cue.cue for cue in done.leaks))
    yield ""
    if not done.cues:
        yield f"nothing could be measured: {len(done.unreadable)} files cannot be read"
    elif leaks:
        yield f"LEAKS: {leaks} (allowed: {bound})"
    else:
        yield f"every container cue within {bound} over all fakes, none surely beyond for one"


def _row(cue: CueReport) -> str:
    if cue.separation is None:
        verdict = "not measured"
    elif cue.kind == "content":
        verdict = "reported"
    else:
        verdict = "LEAKS" if cue.leaks else "ok"
    return _line(
        cue.cue,
        verdict,
        _measured(cue.auc),
        _measured(cue.held_out),
        f"{_short(cue.usual_real)} ({cue.reals})",
        f"{_short(cue.usual_fake)} ({cue.fakes})",
    )


def _measured(value: Measured | None) -> str:
    return "-" if value is None else f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= USUAL else text[: USUAL - 1] + "…"


def _line(cue: str, verdict: str, ranked: str, held_out: str, real: str, fake: str) -> str:
    wide = USUAL + 7
    return (
        f"  {cue:<16}  {verdict:<12}  {ranked:<20}  {held_out:<20}  {real:<{wide}}  {fake}".rstrip()
    )
