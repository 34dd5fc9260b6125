"""The faces of one video, still or sequence of stills: found, followed, cut. Needs no tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unmask.data.preparing.follow import choose, cut_mask, holds_centre, into_crop
from unmask.data.preparing.journal import Made, Note, Record
from unmask.data.preparing.profile import Profile
from unmask.data.preparing.shots import Decode, Part, Shot, Unit, read_shots
from unmask.errors import ShapeError, UnmaskError
from unmask.faces import FaceDetector, crop_face, link_faces, search_frames
from unmask.types import Crop, Face, FloatArray, UInt8Image

CROPS, MASKS = "crops", "masks"
PNG_LEVEL = 3
"""10 ms for 384 x 384 pixels and 19 % smaller than OpenCV's default; 6 takes 26 ms, 4 % less."""


class VideoMaker:
    """Writes the crops and masks of one unit after the other.

    Args:
        root: the folder that the index's paths are relative to.
        out: where `crops/` and `masks/` go.
        profile: how.
        decode: as `Decode` says.
        detector: finds faces.
    """

    def __init__(
        self, root: Path, out: Path, profile: Profile, decode: Decode, detector: FaceDetector
    ) -> None:
        self.root, self.out, self.profile = root, out, profile
        self.decode, self.detector = decode, detector

    def make(self, unit: Unit) -> Record:
        """Cut out the face of a unit; the files are written when this returns.

        Raises:
            OSError: the files cannot be written.
            UnmaskError: the detector's weights cannot be loaded, or no decoder be started.
        """
        key = unit.key(self.root)  # before anything is read: what changes meanwhile is seen
        job = _Job(self, unit)
        try:
            for rows in unit.sequences():
                job.sequence(rows)
        except MemoryError as error:
            job.fault("out_of_memory", error)
        except Exception as error:  # one video must not take the others with it
            hopeless = isinstance(error, (OSError, UnmaskError))  # true of the next one as well
            if hopeless and not isinstance(error, ShapeError):
                raise
            job.fault("internal_error", error)
        return Record(
            video_id=unit.video_id,
            key=key,
            asked=job.asked,
            read=job.read,
            crops=tuple(job.made),
            notes=tuple(job.notes),
        )


class _Job:
    """One unit at work: what was made of it and noted about it so far."""

    def __init__(self, maker: VideoMaker, unit: Unit) -> None:
        self.maker, self.unit, self.profile = maker, unit, maker.profile
        self.asked = self.read = 0
        self.made: list[Made] = []
        self.notes: list[Note] = []
        self.names: set[str] = set()
        for kind in (CROPS, MASKS):
            _empty(maker.out / kind / unit.folder)

    def fault(self, reason: str, error: BaseException) -> None:
        """Nothing of a unit that failed midway counts."""
        for kind in (CROPS, MASKS):
            _empty(self.maker.out / kind / self.unit.folder)
        self.asked, self.read = max(self.asked, 1), 0
        self.made.clear()
        told = f"{type(error).__name__}: {error}"
        path = self.unit.parts[0].path
        self.notes = [Note(frame=None, path=path, reason=reason, message=told, frames=self.asked)]

    def note(self, shot: Shot, reason: str, message: str = "", *, lost: bool) -> None:
        """Note a frame that gives no crop, or what a crop lacks."""
        path = self.unit.parts[shot.row].path
        self.notes.append(
            Note(frame=shot.number, path=path, reason=reason, message=message, lost=lost)
        )

    def sequence(self, rows: Sequence[int]) -> None:
        """Decode, follow and cut one clip, one still, or stills that follow each other."""
        maker = self.maker
        read = read_shots(self.unit, rows, maker.root, self.profile, maker.decode)
        shots = read.shots
        self.asked += read.asked
        self.read += len(shots)
        self.notes += read.notes
        if not shots:
            return
        found = search_frames([s.frame for s in shots], maker.detector, stills=read.stills)
        tracks = link_faces(found, [shot.frame.time for shot in shots])
        masked = self.unit.label == 1 and any(self._part(shot).mask_path for shot in shots)
        masks = [shot.mask for shot in shots] if masked else None
        taken = choose(found, tracks, masks, self.profile.face)
        unfollowed = "face_not_tracked" if taken else "mask_elsewhere"
        for shot, faces, numbers in zip(shots, found, tracks, strict=True):
            mine = [f for f, number in zip(faces, numbers, strict=True) if number in taken]
            self._cut_all(shot, mine, unfollowed if faces else "no_face")

    def _part(self, shot: Shot) -> Part:
        return self.unit.parts[shot.row]

    def _cut_all(self, shot: Shot, mine: Sequence[Face], otherwise: str) -> None:
        """Cut the chosen faces of a frame, or note why there is none.

        A fake whose mask says that nothing in the crop is manipulated would be a real under a
        fake's label, so it is noted instead.
        """
        fake = self.unit.label == 1
        if shot.lacks is not None:
            lost = fake and self.profile.face == "mask"
            self.note(shot, shot.lacks, lost=lost)
            if lost:
                return
        if fake and shot.mask is not None and not shot.mask.any():
            self.note(shot, "mask_empty", lost=True)
        elif not mine:
            self.note(shot, otherwise, lost=True)
        else:
            cut = [self._cut(shot, face) for face in mine]
            if not any(cut):
                self.note(shot, "mask_elsewhere", lost=True)

    def _cut(self, shot: Shot, face: Face) -> bool:
        """Write one crop and its mask; False where a fake's crop shows nothing manipulated."""
        crop = crop_face(shot.frame, face, margin=self.profile.margin)
        mask = None
        if shot.mask is not None:
            mask = cut_mask(shot.mask, shot.frame, face, self.profile.margin)
            if self.unit.label == 1 and not mask.any():
                return False
        name = self._name(shot.number)
        path = f"{CROPS}/{self.unit.folder}/{name}"
        _write_png(self.maker.out / path, crop.image[..., ::-1])
        mask_path = None
        if mask is not None:
            mask_path = f"{MASKS}/{self.unit.folder}/{name}"
            _write_png(self.maker.out / mask_path, mask.astype(np.uint8) * np.uint8(255))
        self.made.append(
            Made(
                row=shot.row,
                frame=shot.number,
                path=path,
                mask_path=mask_path,
                landmarks=self._landmarks(shot, face, crop),
                box=crop.box,
            )
        )
        return True

    def _name(self, number: int) -> str:
        name, more = f"{number:06}.png", 0
        while name in self.names:  # several faces, or several rows, of one frame
            more += 1
            name = f"{number:06}-{more}.png"
        self.names.add(name)
        return name

    def _landmarks(self, shot: Shot, face: Face, crop: Crop) -> tuple[float, ...]:
        """A still's own landmarks where they are of this face, else the detector's five."""
        part, points = self._part(shot), face.landmarks
        if shot.frame.time is None and (part.landmarks or part.landmarks_path):
            try:
                own = _own_landmarks(part, self.maker.root)
            except (OSError, ValueError, EOFError) as error:
                self.note(shot, "landmarks_unreadable", str(error), lost=False)
            else:
                if holds_centre(face, own):
                    points = own
                else:
                    self.note(shot, "landmarks_elsewhere", lost=False)
        return tuple(float(v) for v in into_crop(points, crop).ravel())


def _own_landmarks(part: Part, root: Path) -> FloatArray:
    """(N, 2) float32 x, y in the picture; ValueError where they are not that."""
    values: Any = part.landmarks
    if values is None:
        values = np.load(root / str(part.landmarks_path), allow_pickle=False)
    points = np.asarray(values, np.float32)
    points = points.reshape(-1, 2) if points.ndim == 1 else points
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"expected finite (N, 2) points; got an array of {points.shape}")
    return points


def _empty(folder: Path) -> None:
    """Remove what a killed run left of this unit, but no other unit's folder inside."""
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.is_file():
                entry.unlink()


def _write_png(path: Path, picture: UInt8Image) -> None:
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not done:
        raise OSError(f"OpenCV cannot encode a picture of {picture.shape} as PNG.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
