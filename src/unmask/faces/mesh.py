"""FaceMesh: 468 points of a face from its five landmarks. Needs the extra `landmarks`.

The network is MediaPipe's `face_landmark.tflite` (Apache-2.0; see NOTICE), packaged as it is:
Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs".
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import MissingExtraError, ShapeError
from unmask.faces.align import FIVE_POINTS, Matrix, invert, similarity, warp_points
from unmask.types import UInt8Image, check_rgb

SIDE = 192
"""The network's input, in pixels."""
POINTS = 468
MARGIN = 1.5
"""Side of what the network sees relative to the face, as it was trained."""
OUTER_EYE_CORNERS = (33, 263)
"""Mesh points at the outer corners of the eye on the left of the upright face, and on the right."""
_UNIT = np.array([[0.5 - 0.5 / MARGIN] * 2])


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A fitted mesh.

    Attributes:
        points: (468, 2) float64 x, y in the picture's pixels.
        presence: the network's own probability that there is a face, in [0, 1].
    """

    points: NDArray[np.float64]
    presence: float


def mesh_available() -> bool:
    """Whether the extra `landmarks` is installed."""
    return importlib.util.find_spec("ai_edge_litert") is not None


def face_mesh(image: UInt8Image, five: ArrayLike) -> Mesh:
    """Fit the mesh to a face.

    Looks twice: first where the five points say, then where the mesh itself says, turned by its
    eyes. On 102 London faces the second look takes the error of what is made from the mesh from
    0.046 to 0.045 of the distance between the pupils, at 5 ms.

    Args:
        image: (H, W, 3) uint8 RGB.
        five: (5, 2) x, y of the face's eyes, nose and mouth corners, as in `Face.landmarks`.

    Returns:
        The mesh, in the picture's pixels; points may lie outside of it.

    Raises:
        MissingExtraError: the extra `landmarks` is not installed.
        ShapeError: not uint8 RGB, or not five finite points that differ.
    """
    check_rgb(image, "face_mesh's image")
    five = np.asarray(five, np.float64)
    if five.shape != (5, 2) or not np.isfinite(five).all():
        raise ShapeError(f"face_mesh needs five finite points (5, 2); got {five.shape}.")
    first = _look(image, similarity(five, (FIVE_POINTS / MARGIN + _UNIT) * SIDE))
    return _look(image, _region(first.points))


def _region(points: NDArray[np.float64]) -> Matrix:
    """From the picture to the network's input: the mesh's square, turned by the eyes, with margin.

    Raises:
        ShapeError: the eyes coincide, as they do in what is not a face.
    """
    left, right = points[list(OUTER_EYE_CORNERS)]
    across = right - left
    length = math.hypot(*across)
    if not length > 0:
        raise ShapeError("The mesh found no eyes: this is not a face.")
    c, s = across / length
    turn = np.array([[c, s], [-s, c]])
    upright = points @ turn.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    scale = SIDE / (MARGIN * float((high - low).max()))
    return np.column_stack([scale * turn, SIDE / 2 - scale * (low + high) / 2])


def _look(image: UInt8Image, matrix: Matrix) -> Mesh:
    """Run the network on what `matrix` brings into its input."""
    seen = cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    network = _network()
    network.set_tensor(network.get_input_details()[0]["index"], seen[None].astype(np.float32) / 255)
    network.invoke()
    outputs = [network.get_tensor(d["index"]).ravel() for d in network.get_output_details()]
    coordinates, logit = sorted(outputs, key=len, reverse=True)
    plane = coordinates.reshape(POINTS, 3)[:, :2].astype(np.float64)  # the depth is not used
    return Mesh(warp_points(plane, invert(matrix)), 1 / (1 + math.exp(-float(logit[0]))))


@cache
def _network() -> Any:
    """The packaged network, one thread."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise MissingExtraError("The face mesh", "landmarks", "ai-edge-litert") from error
    data = resources.files("unmask.faces").joinpath("weights/face_landmark.tflite").read_bytes()
    network = Interpreter(
        model_content=data,
        num_threads=1,
        # its default delegate is faster (1 ms) but announces itself on stderr in every process
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    network.allocate_tensors()
    return network
