"""FaceShifter: the fifth manipulation of FaceForensics++'s YouTube clips, often kept alone.

Source: L. Li et al., "FaceShifter: Towards High Fidelity And Occlusion Aware Face Swapping", CVPR
2020; its authors made these 1000 videos of FaceForensics++'s originals.
"""

from __future__ import annotations

from pathlib import Path

from unmask.data.index import Index
from unmask.data.readers.faceforensics import Part, read_part

_PART = Part(
    "faceshifter",
    "FaceShifter",
    ("FaceShifter",),
    """original_sequences/youtube/{raw,c23,c40}/videos/000.mp4
manipulated_sequences/FaceShifter/{raw,c23,c40}/videos/000_003.mp4
splits/{train,val,test}.json
(compressions that were not downloaded may be missing)""",
)


def read(root: Path) -> Index:
    """FaceShifter and the originals it was made of, with FaceForensics++'s pair splits.

    The rest of FaceForensics++ may lie in the same tree and is left out. The people are those of
    FaceForensics++: a model trained on that set's `train` has seen the originals of this one's.
    There are no masks.

    Raises:
        DatasetError: as `faceforensics.read`.
    """
    return read_part(root, _PART)
