"""DFD, the DeepFakeDetection data set, as FaceForensics++'s script gives it out alone.

Source: N. Dufour and A. Gully, Google and Jigsaw, 2019: 363 videos of 28 consenting actors and
3068 face swaps made of them.
"""

from __future__ import annotations

from pathlib import Path

from unmask.data.index import Index
from unmask.data.readers.faceforensics import Part, read_part

_PART = Part(
    "dfd",
    "DFD (DeepFakeDetection)",
    ("DeepFakeDetection",),
    """original_sequences/actors/{raw,c23,c40}/videos/01__walking.mp4
manipulated_sequences/DeepFakeDetection/
  {raw,c23,c40}/videos/01_02__walking__A1B2C3D4.mp4
  masks/videos/01_02__walking__A1B2C3D4.mp4
(compressions and masks that were not downloaded may be missing)""",
)


def read(root: Path) -> Index:
    """DFD; the rest of FaceForensics++ may lie in the same tree and is left out.

    Identities are the actors' numbers, in a fake that of the person filmed and of the one whose
    face was put in. There is no official split: `split` is null. The actors recur across the
    videos, so a split of one's own must be one of actors, not of videos.

    Raises:
        DatasetError: another layout, no originals or no fakes, or a name without actors' numbers.
    """
    return read_part(root, _PART)
