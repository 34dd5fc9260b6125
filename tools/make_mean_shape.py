"""Average the London Set's face templates into one shape of 189 points.

    python tools/make_mean_shape.py LONDON_FOLDER src/unmask/synthesis/mean_shape.csv

Each neutral face's template is brought by a similarity onto its own pupils at (-0.5, 0) and
(0.5, 0), left and right are averaged over all people, and points are written as x,y in units of
the distance between the pupils. Source: Face Research Lab London Set (DeBruine & Jones 2017,
doi 10.6084/m9.figshare.5047666.v5), CC BY 4.0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

LEFT_PUPIL, RIGHT_PUPIL = 0, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("london", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    shapes = []
    for path in sorted(args.london.glob("*_03.landmarks.csv")):
        points = np.loadtxt(path, delimiter=",", skiprows=1)
        plane = points[:, 0] + 1j * points[:, 1]
        centre = (plane[LEFT_PUPIL] + plane[RIGHT_PUPIL]) / 2
        normal = (plane - centre) / (plane[RIGHT_PUPIL] - plane[LEFT_PUPIL])
        shapes.append(np.stack([normal.real, normal.imag], axis=1))
    mean = np.mean(shapes, axis=0)
    np.savetxt(args.out, mean, fmt="%.4f", delimiter=",", header="x,y", comments="")
    print(f"{len(shapes)} faces, {len(mean)} points -> {args.out}")


if __name__ == "__main__":
    main()
