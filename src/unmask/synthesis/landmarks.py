"""The 189 points of a face: from FaceMesh where it is installed, else the mean shape.

How mesh points make template points was learnt from the London Set (`tools/make_mesh_map.py`).
Mean distance to the template over that between the pupils, on people left out of the fit: 0.045,
of the features (eyes, brows, nose, mouth) 0.026; the mean shape on five points reaches 0.069 and
0.044.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load

from unmask.errors import ShapeError
from unmask.faces.align import similarity, warp_points
from unmask.faces.mesh import POINTS, face_mesh, mesh_available
from unmask.synthesis.shape import Points, dense_landmarks
from unmask.types import UInt8Image

LandmarkSource = Literal["own", "mesh", "mean_shape"]
"""own: came with the data set. mesh: `fit_landmarks`. mean_shape: `dense_landmarks`."""
LIKELY = 0.5
"""Presence below which the mesh is not a face's."""


@dataclass(frozen=True, slots=True, eq=False)
class MeshMap:
    """Template points as sums of mesh points, in the frame of a mean face.

    Attributes:
        control: (K,) int, the mesh points that are used.
        position: (K, 2) where they lie on the mean face, in units of its pupil distance.
        rest: (189, 2) where the template points lie on it.
        weights: (189, K) how far each follows each control point.
    """

    control: NDArray[np.integer]
    position: Points
    rest: Points
    weights: Points

    def apply(self, mesh: Points) -> Points:
        """(468, 2) mesh points -> (189, 2) template points in the same pixels.

        Moves, turns and scales with the mesh.
        """
        seen = np.asarray(mesh, np.float64)[self.control]
        there = similarity(seen, self.position)
        found = self.rest + self.weights @ (warp_points(seen, there) - self.position)
        return np.asarray((found - there[:, 2]) @ np.linalg.inv(there[:, :2]).T)


@cache
def mesh_map() -> MeshMap:
    """The packaged map."""
    data = resources.files("unmask.synthesis").joinpath("mesh_map.safetensors").read_bytes()
    tensors = load(data)
    return MeshMap(
        tensors["control"].astype(np.int64),
        *(tensors[name].astype(np.float64) for name in ("position", "rest", "weights")),
    )


def landmarks_of_mesh(mesh: Points) -> Points:
    """The 189 template points of a face's mesh.

    Args:
        mesh: (468, 2) x, y, as in `Mesh.points`.

    Raises:
        ShapeError: not (468, 2), or not finite.
    """
    mesh = np.asarray(mesh, np.float64)
    if mesh.shape != (POINTS, 2) or not np.isfinite(mesh).all():
        raise ShapeError(f"landmarks_of_mesh needs finite points (468, 2); got {mesh.shape}.")
    return mesh_map().apply(mesh)


def fit_landmarks(image: UInt8Image, five: ArrayLike) -> Points:
    """(189, 2) landmarks of a face by FaceMesh, in the picture's pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        five: (5, 2) x, y of the face, as in `Face.landmarks`.

    Raises:
        MissingExtraError: the extra `landmarks` is not installed.
        ShapeError: bad picture or points, or the mesh finds no face there.
    """
    mesh = face_mesh(image, five)
    if mesh.presence < LIKELY:
        raise ShapeError(
            f"The face mesh finds no face at the five points (presence {mesh.presence:.2f})."
        )
    return landmarks_of_mesh(mesh.points)


def best_landmarks(image: UInt8Image, five: ArrayLike) -> tuple[Points, LandmarkSource]:
    """(189, 2) landmarks by the best means there is, and which that was.

    The mean shape is taken where the extra `landmarks` is not installed, and where the mesh finds
    no face at the five points.

    Raises:
        ShapeError: bad picture or points.
    """
    if mesh_available():
        mesh = face_mesh(image, five)
        if mesh.presence >= LIKELY:
            return landmarks_of_mesh(mesh.points), "mesh"
    return dense_landmarks(np.asarray(five, np.float64)), "mean_shape"
