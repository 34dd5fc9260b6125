"""From scored crops to a result: tracks, the deciding face, the verdict and its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.errors import MediaError
from unmask.inference import calibration
from unmask.media import Media
from unmask.metrics.calibration import sigmoid
from unmask.models.checkpoint import Decision
from unmask.results import (
    REASONS,
    Coverage,
    FaceFrame,
    FaceTrack,
    InputInfo,
    Result,
    Run,
)
from unmask.types import Box, Crop

MIN_VIDEO_FRAMES = 3
"""A face seen in fewer frames of a video does not decide it while another is seen more often."""
MAX_STRANGE_BANDS = 3
"""With more of its 14 band energies outside the limits, a face is out of domain."""
QUALITY_REASONS = {
    "too_small": "face_too_small",
    "too_blurry": "too_blurry",
    "blurry": "blurry",
    "too_dark": "too_dark",
}
ONE_SIDED = frozenset({"blurry"})
"""Reasons for which a finding counts, since reals like that are not flagged more often, and the
lack of one does not: a forgery like that is hardly ever found."""
UNFIT = frozenset({*QUALITY_REASONS.values(), "too_few_frames"}) - ONE_SIDED
"""Reasons of a scored input for which it is inconclusive whatever the thresholds."""


@dataclass(frozen=True)
class Scored:
    """Crops with track id, logit and (N, 14) log10 band energies, in order of time.

    `distances` (N,) are those of the network's features from what it was measured on; None where
    that is not known.
    """

    crops: Sequence[Crop]
    tracks: Sequence[int]
    logits: NDArray[np.float64]
    bands: NDArray[np.float32]
    distances: NDArray[np.float64] | None = None

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """P(fake) of each crop."""
        return sigmoid(self.logits)

    @cached_property
    def members(self) -> dict[int, list[int]]:
        """Track id -> its crops, in order of time."""
        grouped: dict[int, list[int]] = {}
        for index, track in enumerate(self.tracks):
            grouped.setdefault(track, []).append(index)
        return dict(sorted(grouped.items()))

    def good(self, track: int) -> list[int]:
        """The crops of a track without a quality flag; all of them if every one has a flag."""
        clean = [i for i in self.members[track] if not self.crops[i].quality]
        return clean or self.members[track]

    def track_logit(self, track: int) -> float:
        """Mean logit over the good crops.

        The mean of logits is the log of the product of the frames' odds, scaled back to one
        frame: it pools frames as repeated looks at the same face, so a video's score stays on
        the scale the thresholds were fitted on, and one frame that goes wrong cannot decide.
        """
        return float(np.mean(self.logits[self.good(track)]))

    def deciding(self) -> int:
        """The track with the highest score: one manipulated face makes a manipulated picture.

        Tracks of fewer than `MIN_VIDEO_FRAMES` frames (passers-by, false detections) stand back
        when a longer one exists; of the rest, those without a single good frame stand back when
        another has one, so that a blurred bystander cannot hide a clear finding.
        """
        return self._deciding

    @cached_property
    def _deciding(self) -> int:
        longest = max(len(m) for m in self.members.values())
        need = min(MIN_VIDEO_FRAMES, longest)
        return max(
            (track for track, members in self.members.items() if len(members) >= need),
            key=lambda track: (self.is_clear(track), self.track_logit(track), -track),
        )

    @cached_property
    def deciding_bands(self) -> NDArray[np.float32]:
        """(14,) log10 band energies of the deciding face: the median over its good crops."""
        return np.asarray(_median(self.bands[self.good(self._deciding)]), np.float32)

    @cached_property
    def deciding_distance(self) -> float | None:
        """Distance of the deciding face's features: the median over its good crops."""
        if self.distances is None:
            return None
        return float(_median(self.distances[self.good(self._deciding)]))

    def is_clear(self, track: int) -> bool:
        """Whether a track has a crop without a quality flag."""
        return any(not self.crops[i].quality for i in self.members[track])

    def telling(self, per_track: int) -> list[int]:
        """For each track, the good crops nearest to its highest score, in order of time."""
        chosen: list[int] = []
        for track in self.members:
            ranked = sorted(self.good(track), key=lambda i: -self.logits[i])
            chosen += sorted(ranked[:per_track])
        return chosen


def _median(values: NDArray[np.floating]) -> Any:
    """Over the first axis; NumPy's takes a while even for one row, and a still has no more."""
    return values[0] if len(values) == 1 else np.median(values, axis=0)


def failed(
    info: InputInfo,
    error: MediaError,
    run: Run,
    frames_failed: int = 0,
    *,
    frames_read: int = 0,
    notes: Sequence[str] = (),
) -> Result:
    """The result of an input that could not be scored.

    Args:
        info, error, run: what it is, why, and on what it ran.
        frames_failed, frames_read: how many frames were looked at before it failed.
        notes: further reasons, of what was known of the frames.
    """
    return Result(
        input=info,
        status=error.status,
        reasons=list(dict.fromkeys([error.reason, *notes])),
        message=str(error).replace("\n  ", " "),
        coverage=Coverage(frames_read=frames_read, frames_failed=frames_failed),
        run=run,
    )


def assemble(
    media: Media, scored: Scored, decision: Decision, run: Run, *, odds: Decision | None = None
) -> Result:
    """Put a scored input's result together.

    Args:
        media, scored, run: what it is of.
        decision: thresholds, and the limits of their domain.
        odds: slope and bias of the probability, and the limits of its domain; those of `decision`
            when None.
    """
    odds = odds or decision
    track = scored.deciding()
    logit = scored.track_logit(track)
    bands, distance = scored.deciding_bands, scored.deciding_distance
    doubts = _doubts(media, scored, track, _in_domain(bands, decision), _known(distance, decision))
    score = float(sigmoid(logit))
    reasons = list(dict.fromkeys([*media.reasons, *doubts]))
    return Result(
        input=media.info,
        status="scored",
        reasons=reasons,
        message="; ".join(REASONS[r] for r in reasons) or None,
        verdict=calibration.verdict_of(
            score, decision, reliable=ONE_SIDED.issuperset(doubts), one_sided=bool(doubts)
        ),
        score=score,
        calibrated=calibration.calibrated(
            logit, odds, in_domain=_in_domain(bands, odds) and _known(distance, odds)
        ),
        threshold=calibration.threshold(decision),
        coverage=Coverage(
            frames_read=len(media.frames),
            frames_failed=media.frames_failed,
            faces_scored=len(scored.crops),
        ),
        faces=[_track(scored, t) for t in scored.members],
        run=run,
    )


def _doubts(media: Media, scored: Scored, track: int, in_domain: bool, known: bool) -> list[str]:
    """Reasons not to rest a verdict on the deciding face."""
    doubts = []
    flags = [scored.crops[i].quality for i in scored.members[track]]
    if not scored.is_clear(track):
        named = {flag for quality in flags for flag in quality}
        doubts += [reason for flag, reason in QUALITY_REASONS.items() if flag in named]
    if media.info.media == "video" and len(flags) < MIN_VIDEO_FRAMES:
        doubts.append("too_few_frames")
    if not in_domain:
        doubts.append("out_of_domain")
    if not known:
        doubts.append("unfamiliar")
    return doubts


def _in_domain(bands: NDArray[np.float32], decision: Decision) -> bool:
    """Whether band energies (14,) are like those of the reals the decision was fitted on."""
    limits = np.asarray(decision.band_limits)
    strange = (bands < limits[:, 0]) | (bands > limits[:, 1])
    return int(strange.sum()) <= MAX_STRANGE_BANDS


def _known(distance: float | None, decision: Decision) -> bool:
    """Whether a face's features are like those that the decision was fitted on."""
    if distance is None or decision.features is None:
        return True
    return distance <= decision.features.limit


def _track(scored: Scored, track: int) -> FaceTrack:
    members = scored.members[track]
    times = [scored.crops[i].time for i in members]
    return FaceTrack(
        id=track,
        score=float(sigmoid(scored.track_logit(track))),
        start_s=times[0],
        end_s=times[-1],
        frames=[
            FaceFrame(
                index=scored.crops[i].frame_index,
                t=scored.crops[i].time,
                box=_rounded(scored.crops[i].face.box),
                score=float(scored.scores[i]),
                quality="+".join(scored.crops[i].quality) or "ok",
            )
            for i in members
        ],
    )


def _rounded(box: Box) -> Box:
    x0, y0, x1, y1 = (round(float(v), 2) for v in box)
    return x0, y0, x1, y1
