"""What to look at beside a score: heatmap, residual picture and band energies."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.types import Crop, FloatArray, Frame


@dataclass(frozen=True, slots=True)
class Evidence:
    """One face in one frame, as the model saw it.

    Attributes:
        face_id: the track's id in `Result.faces`.
        frame: the whole frame.
        crop: the face crop that was scored, (S, S, 3).
        score: P(fake) of this crop.
        heatmap: (S, S) float32 in [0, 1], over `crop.image`; 1 where the score hangs most on.
        residual: (S, S) float32, block high-pass residual of the luma in grey levels, signed.
        bands: (14,) float32, log10 of the mean DCT energy of the diagonals u + v = 1 .. 14.
        reference: (14, 3) float32, the 5th, 50th and 95th percentile of `bands` over the real
            faces the model was calibrated on.
    """

    face_id: int
    frame: Frame
    crop: Crop
    score: float
    heatmap: FloatArray
    residual: FloatArray
    bands: FloatArray
    reference: FloatArray
