"""Learn how FaceMesh's points say where the London Set's 189 face template points lie.

    python tools/make_mesh_map.py LONDON_FOLDER src/unmask/synthesis/mesh_map.safetensors

Both are known for the neutral faces (`*_03.jpg` with `*_03.landmarks.csv`). Every template point
becomes a weighted sum of 100 mesh points, the same for x and y: the weights of a thin-plate spline
from the mean mesh (Bookstein 1989), moved towards the data by a ridge regression that is penalised
for leaving the spline. Prints the error on people left out (ten groups), beside that of the spline
alone, of a plain ridge regression, and of the mean shape on the detector's five points
(`dense_landmarks`). Source: Face Research Lab London Set (DeBruine & Jones 2017,
doi 10.6084/m9.figshare.5047666.v5), CC BY 4.0.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from unmask.faces import MTCNNDetector, find_faces, similarity, warp_points
from unmask.faces.mesh import face_mesh
from unmask.synthesis.landmarks import MeshMap
from unmask.synthesis.shape import dense_landmarks
from unmask.types import Frame

Array = NDArray[np.float64]

CONTROLS = 100
STIFFNESS = 0.01
"""Of the spline: 0 goes through every control point."""
PENALTY = 1.0
"""For leaving the spline, in units of the mean variance of a control point."""
GROUPS = 10


@dataclass(frozen=True)
class Faces:
    """What is known of N people: (N, 189, 2) templates, (N, 468, 2) meshes, (N, 5, 2) fives."""

    template: Array
    mesh: Array
    five: Array

    def where(self, keep: NDArray[np.bool_]) -> Faces:
        return Faces(self.template[keep], self.mesh[keep], self.five[keep])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("london", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    faces = read(args.london)
    result = fit(faces)
    report = {"people": len(faces.five), "controls": CONTROLS, "error_over_pupils": errors(faces)}
    tensors = {
        "control": result.control.astype(np.int32),
        "position": result.position.astype(np.float32),
        "rest": result.rest.astype(np.float32),
        "weights": result.weights.astype(np.float32),
    }
    # safetensors writes memory as it lies, whatever the strides say
    tensors = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    source = "Face Research Lab London Set, CC BY 4.0; made by tools/make_mesh_map.py"
    save_file(tensors, args.out, metadata={"source": source})
    args.out.chmod(0o644)
    print(json.dumps(report, indent=1))


def read(folder: Path) -> Faces:
    detector = MTCNNDetector()
    template, mesh, five = [], [], []
    for path in sorted(folder.glob("*_03.jpg")):
        image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        found = find_faces(Frame(image), detector)[0].landmarks
        own = np.loadtxt(path.with_suffix(".landmarks.csv"), delimiter=",", skiprows=1)
        template.append(own)
        mesh.append(face_mesh(image, found).points)
        five.append(found)
    return Faces(*(np.array(values, np.float64) for values in (template, mesh, five)))


def mean_faces(faces: Faces) -> tuple[Array, Array]:
    """Mean template and mean mesh where every face's own pupils are at (-0.5, 0) and (0.5, 0)."""
    pupils = np.array([[-0.5, 0.0], [0.5, 0.0]])
    frames = [similarity(template[:2], pupils) for template in faces.template]
    return tuple(  # type: ignore[return-value]
        np.mean([warp_points(p, f) for p, f in zip(points, frames, strict=True)], axis=0)
        for points in (faces.template, faces.mesh)
    )


def spread_out(points: Array, count: int) -> NDArray[np.intp]:
    """`count` points, each the farthest from those before it; the first is the most central."""
    chosen = [int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    distance = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)


def spline(control: Array, at: Array) -> Array:
    """(M, K) weights: where a thin-plate spline takes `at` when the K control points move."""

    def kernel(a: Array, b: Array) -> Array:
        square = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
        return np.asarray(square * np.log(np.maximum(square, 1e-300)) / 2)

    count = len(control)
    plane = np.column_stack([np.ones(count), control])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel(control, control) + STIFFNESS * np.eye(count)
    system[:count, count:], system[count:, :count] = plane, plane.T
    basis = np.column_stack([kernel(at, control), np.ones(len(at)), at])
    return np.asarray(np.linalg.solve(system, basis.T).T[:, :count])


def aligned(faces: Faces, control: NDArray[np.intp], position: Array) -> tuple[Array, Array]:
    """Control points and templates of all faces in the mean mesh's frame."""
    frames = [similarity(mesh[control], position) for mesh in faces.mesh]
    return (
        np.array([warp_points(m[control], f) for m, f in zip(faces.mesh, frames, strict=True)]),
        np.array([warp_points(t, f) for t, f in zip(faces.template, frames, strict=True)]),
    )


def fit(faces: Faces, *, learn: bool = True) -> MeshMap:
    """The map; with `learn` False the spline alone."""
    template, mesh = mean_faces(faces)
    control = spread_out(mesh, CONTROLS)
    position = mesh[control]
    weights = spline(position, template)
    if not learn:
        return MeshMap(control, position, template, weights)
    moved, wanted = aligned(faces, control, position)
    centre, rest = moved.mean(axis=0), wanted.mean(axis=0)
    a = np.moveaxis(moved - centre, 2, 1).reshape(-1, CONTROLS)
    b = np.moveaxis(wanted - rest, 2, 1).reshape(-1, len(template))
    gram = a.T @ a
    gram += PENALTY * np.trace(gram) / CONTROLS * np.eye(CONTROLS)
    weights = weights + np.linalg.solve(gram, a.T @ (b - a @ weights.T)).T
    return MeshMap(control, position, rest - weights @ (centre - position), weights)


def plain_ridge(faces: Faces, penalty: float = 0.3) -> Callable[[Array], Array]:
    """From a mesh to a template by ridge regression on all coordinates."""
    control = spread_out(mean_faces(faces)[1], CONTROLS)
    position = mean_faces(faces)[1][control]
    moved, wanted = aligned(faces, control, position)
    centre, rest = moved.mean(axis=0), wanted.mean(axis=0)
    a, b = (moved - centre).reshape(len(moved), -1), (wanted - rest).reshape(len(moved), -1)
    gram = a @ a.T
    gram += penalty * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = a.T @ np.linalg.solve(gram, b)

    def predict(mesh: Array) -> Array:
        there = similarity(mesh[control], position)
        offset = (warp_points(mesh[control], there) - centre).ravel() @ weights
        back = np.linalg.inv(there[:, :2])
        return np.asarray((rest + offset.reshape(rest.shape) - there[:, 2]) @ back.T)

    return predict


def errors(faces: Faces) -> dict[str, dict[str, float]]:
    """Mean distance to the template over the pupil distance, on people left out of the fit."""
    group = np.arange(len(faces.five)) % GROUPS
    found: dict[str, list[Array]] = {}
    for g in range(GROUPS):
        kept, out = faces.where(group != g), faces.where(group == g)
        by_mesh = {"spline": fit(kept, learn=False).apply, "map": fit(kept).apply}
        by_mesh["ridge"] = plain_ridge(kept)
        for i, template in enumerate(out.template):
            guesses = {name: predict(out.mesh[i]) for name, predict in by_mesh.items()}
            guesses["mean_shape"] = dense_landmarks(out.five[i])
            unit = np.linalg.norm(template[1] - template[0])
            for name, guess in guesses.items():
                distance = np.linalg.norm(guess - template, axis=1) / unit
                found.setdefault(name, []).append(distance)
    return {name: _summary(np.array(values)) for name, values in sorted(found.items())}


def _summary(distances: Array) -> dict[str, float]:
    """Of (N, 189): all points; those of eyes, brows, nose and mouth (0-108); the median."""
    every, features = distances.mean(), distances[:, :109].mean()
    middle = np.median(distances)
    return {
        "all": round(float(every), 4),
        "features": round(float(features), 4),
        "median": round(float(middle), 4),
    }


if __name__ == "__main__":
    main()
