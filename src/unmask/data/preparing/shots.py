"""The frames of one video, still or sequence of stills, each with its mask. Needs no tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from unmask.data.preparing.follow import Mask
from unmask.data.preparing.journal import Note
from unmask.data.preparing.profile import Profile
from unmask.media import Failure, Media
from unmask.media.sampling import spread
from unmask.types import Frame

WHOLE_MASK = 3000
"""The most frames of a mask that is not as long as its clip and so has to be read whole."""
OUT_OF_STEP = 0.02
"""Seconds by which the frames of such a mask may be off; half a frame at 25 per second."""

Decode = Callable[[Sequence[str], int], Generator[Media | Failure]]
"""(paths, most frames of each) -> what they hold, in order."""


@dataclass(frozen=True, slots=True)
class Part:
    """One row of the reader's index, as far as it decides what is cut; paths as in the index."""

    path: str
    frame: int | None
    mask_path: str | None
    landmarks: tuple[float, ...] | None
    landmarks_path: str | None


@dataclass(frozen=True, slots=True)
class Unit:
    """All rows of one video_id.

    Attributes:
        video_id: of the index.
        folder: of its crops, below `crops/` and `masks/`.
        label: 0 real, 1 fake.
        rows: their positions in the index.
        parts: what they say, in the same order.
    """

    video_id: str
    folder: str
    label: int
    rows: tuple[int, ...]
    parts: tuple[Part, ...]

    def key(self, root: Path) -> str:
        """Hash of the parts, and of the sizes of their files: a changed one is done again."""
        sizes = [
            [_size(root, p.path), _size(root, p.mask_path), _size(root, p.landmarks_path)]
            for p in self.parts
        ]
        text = json.dumps([self.label, self.folder, [asdict(p) for p in self.parts], sizes])
        return hashlib.sha256(text.encode()).hexdigest()

    def sequences(self) -> list[list[int]]:
        """Positions in `parts` that belong together.

        Rows with a frame number are the frames of one sequence; any other row is a whole clip or a
        still by itself.
        """
        numbered = [i for i, part in enumerate(self.parts) if part.frame is not None]
        numbered.sort(key=lambda i: (self.parts[i].frame, self.parts[i].path))
        single = [[i] for i, part in enumerate(self.parts) if part.frame is None]
        return ([numbered] if numbered else []) + single


def _size(root: Path, path: str | None) -> int:
    try:
        return -1 if path is None else (root / path).stat().st_size
    except OSError:
        return -1


@dataclass(frozen=True, slots=True)
class Shot:
    """A decoded frame.

    Attributes:
        row: position in `Unit.parts` of the row it came from.
        number: of the frame in its video or sequence.
        frame: its pixels.
        mask: (H, W) bool, True where manipulated; None without one.
        lacks: why there is no mask although the row names one, a reason; None when all is well.
    """

    row: int
    number: int
    frame: Frame
    mask: Mask | None = None
    lacks: str | None = None


@dataclass(slots=True)
class Shots:
    """What decoding one sequence gave.

    Attributes:
        stills: it is a still, or made of stills.
        shots: in the order of frames.
        asked: frames that were asked for.
        notes: on those that could not be had.
    """

    stills: bool
    shots: list[Shot] = field(default_factory=list)
    asked: int = 0
    notes: list[Note] = field(default_factory=list)


def read_shots(
    unit: Unit, rows: Sequence[int], root: Path, profile: Profile, decode: Decode
) -> Shots:
    """Decode one of `Unit.sequences`: at most `profile.frames` frames, spread evenly over it."""
    if unit.parts[rows[0]].frame is None:
        return _clip_or_still(unit.parts[rows[0]], rows[0], root, profile, decode)
    chosen = [rows[i] for i in spread(len(rows), profile.frames)]
    return _stills(unit, chosen, root, profile, decode)


def _clip_or_still(part: Part, row: int, root: Path, profile: Profile, decode: Decode) -> Shots:
    paths = [str(root / path) for path in (part.path, part.mask_path) if path is not None]
    outcomes = list(decode(paths, profile.frames))
    media = outcomes[0]
    result = Shots(stills=media.info.media == "image")
    if isinstance(media, Failure):
        result.asked = 1 if result.stills else media.frames_failed or profile.frames
        reason, told = media.error.reason, media.error.message
        result.notes.append(_note(part, None, reason, told, result.asked))
        return result
    result.asked = len(media.frames) + media.frames_failed
    if media.frames_failed:
        reason = media.reasons[0] if media.reasons else "frame_undecodable"
        result.notes.append(_note(part, None, reason, "", media.frames_failed))
    result.shots = [Shot(row, frame.index, frame) for frame in media.frames]
    if part.mask_path is None:
        return result
    mask, in_step = outcomes[1], True
    if isinstance(mask, Media) and mask.info.media == "video":
        known = {frame.index for frame in mask.frames}
        if any(shot.number not in known for shot in result.shots):
            # Had it as many frames as the clip, it would have been sampled at the same ones.
            (mask,) = decode(paths[1:], WHOLE_MASK)
            in_step = False
    result.shots = [_masked(shot, mask, profile.mask_threshold, in_step) for shot in result.shots]
    return result


def _stills(unit: Unit, rows: Sequence[int], root: Path, profile: Profile, decode: Decode) -> Shots:
    parts = unit.parts
    named = [path for row in rows for path in (parts[row].path, parts[row].mask_path)]
    paths = [str(root / path) for path in named if path is not None]
    result = Shots(stills=True, asked=len(rows))
    with closing(decode(paths, 1)) as outcomes:
        for row in rows:
            part, media = parts[row], next(outcomes)
            mask = None if part.mask_path is None else next(outcomes)
            number = part.frame or 0
            if isinstance(media, Failure):
                error = media.error
                result.notes.append(_note(part, number, error.reason, error.message))
            elif media.info.media == "video":
                told = "The index names one frame of a video; leave its frame empty for all of it."
                result.notes.append(_note(part, number, "frame_of_video", told))
            else:
                shot = Shot(row, number, media.frames[0])
                result.shots.append(
                    shot if mask is None else _masked(shot, mask, profile.mask_threshold)
                )
    return result


def _note(part: Part, frame: int | None, reason: str, message: str, frames: int = 1) -> Note:
    return Note(frame=frame, path=part.path, reason=reason, message=message, frames=frames)


def _masked(shot: Shot, mask: Media | Failure, threshold: int, in_step: bool = True) -> Shot:
    """The shot with the frame of the mask that goes with it, or with the reason why not.

    Frames go together by number. A mask with another number of frames than the clip must show the
    frame at the same time too, for it may have another rate.
    """
    if isinstance(mask, Failure):
        return replace(shot, lacks="mask_unreadable")
    picture = mask.frames[0]
    if mask.info.media == "video":
        fitting = [frame for frame in mask.frames if frame.index == shot.frame.index]
        if not fitting:
            return replace(shot, lacks="mask_frame_missing")
        picture = fitting[0]
        if not in_step and not _together(picture, shot.frame):
            return replace(shot, lacks="mask_out_of_step")
    if picture.size != shot.frame.size:
        return replace(shot, lacks="mask_size")
    return replace(shot, mask=picture.image.max(axis=2) > threshold)


def _together(mask: Frame, frame: Frame) -> bool:
    """Whether two frames are shown at the same time, as far as that is known."""
    if mask.time is None or frame.time is None:
        return True
    return abs(mask.time - frame.time) <= OUT_OF_STEP
