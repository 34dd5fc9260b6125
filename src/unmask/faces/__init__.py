"""Frames to crops: find faces, follow them, cut them out. torch loads on a detector's first use."""

from __future__ import annotations

from unmask.faces.align import (
    FIVE_POINTS,
    crop_face,
    cut,
    invert,
    similarity,
    warp_points,
)
from unmask.faces.detect import FaceDetector, MTCNNDetector, find_faces
from unmask.faces.quality import assess
from unmask.faces.search import search_frames
from unmask.faces.track import link_faces

__all__ = [
    "FIVE_POINTS",
    "FaceDetector",
    "MTCNNDetector",
    "assess",
    "crop_face",
    "cut",
    "find_faces",
    "invert",
    "link_faces",
    "search_frames",
    "similarity",
    "warp_points",
]
