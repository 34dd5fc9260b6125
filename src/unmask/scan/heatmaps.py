"""Heatmaps as pictures: where on a face the score hangs most, laid over the face."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unmask.errors import ConfigError
from unmask.results import Result
from unmask.types import FloatArray, UInt8Image

if TYPE_CHECKING:
    from unmask.inference.explain import Evidence

OPACITY = 0.6


def overlay(image: UInt8Image, heatmap: FloatArray) -> UInt8Image:
    """The face with its heatmap over it: untouched where the map is 0, hot where it is 1.

    Args:
        image: (S, S, 3) uint8 RGB.
        heatmap: (S, S) float32 in [0, 1].

    Returns:
        (S, S, 3) uint8 RGB. The colours run from purple to yellow; the strength with the map.
    """
    import cv2

    heat = np.clip(heatmap, 0.0, 1.0)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    alpha = OPACITY * heat[..., None]
    blended: UInt8Image = np.rint(image * (1 - alpha) + colours * alpha).astype(np.uint8)
    return blended


def write_heatmaps(result: Result, evidence: Sequence[Evidence], folder: Path) -> Result:
    """Write one PNG per face, of the frame that scored highest, and name it in the result.

    Files are called `<input's name>-<10 digits of its hash>-face<id>.png`.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    highest: dict[int, Evidence] = {}
    for item in evidence:
        if item.face_id not in highest or item.score > highest[item.face_id].score:
            highest[item.face_id] = item
    names: dict[int, str] = {}
    for face_id, item in highest.items():
        path = folder / f"{_stem(result)}-face{face_id}.png"
        _write_png(path, overlay(item.crop.image, item.heatmap))
        names[face_id] = os.fspath(path)
    faces = [
        face.model_copy(update={"heatmap": names.get(face.id, face.heatmap)})
        for face in result.faces
    ]
    return result.model_copy(update={"faces": faces})


def _stem(result: Result) -> str:
    name = re.sub(r"[^\w.-]+", "_", Path(result.input.path).stem)[:80].lstrip(".-") or "input"
    digest = result.input.sha256 or hashlib.sha256(result.input.path.encode()).hexdigest()
    return f"{name}-{digest[:10]}"


def _write_png(path: Path, image: UInt8Image) -> None:
    from PIL import Image

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        Image.fromarray(image).save(partial, format="PNG")
        os.replace(partial, path)
    except OSError as error:
        raise ConfigError(
            f"The heatmap {path} cannot be written: {error.strerror or error}.",
            "Choose another folder with --heatmaps.",
        ) from error
