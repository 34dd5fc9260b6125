"""Part swap: only what was asked for comes from the donor, in the target's colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis.blend import hull_alpha
from unmask.synthesis.inpaint import PARTS
from unmask.synthesis.part_swap import PART_KINDS, part_swap
from unmask.synthesis.shape import HULLS, JAW
from unmask.synthesis.subject import Subject
from unmask.synthesis.warp import pupil_distance

Subjects = Callable[..., Subject]


@pytest.mark.parametrize("kind", PART_KINDS)
def test_the_mask_lies_around_the_parts(kind: str, subject: Subjects) -> None:
    target, donor = subject(192), subject(192, 1)
    points = target.landmarks[[i for name in PART_KINDS[kind] for i in PARTS[name]]]
    reach = 0.3 * pupil_distance(target.landmarks)
    low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
    for seed in range(6):
        _, mask = part_swap(target, donor, np.random.default_rng(seed), kind)
        ys, xs = np.nonzero(mask)
        assert xs.min() >= low[0]
        assert ys.min() >= low[1]
        assert xs.max() <= high[0]
        assert ys.max() <= high[1]


def test_most_of_the_face_stays(subject: Subjects) -> None:
    target, donor = subject(192), subject(192, 1)
    face = hull_alpha((192, 192), target.landmarks[list(HULLS["face"])]) > 0
    chin = target.landmarks[list(JAW)][4].astype(int)
    for seed in range(10):
        _, mask = part_swap(target, donor, np.random.default_rng(seed))
        assert 0 < mask[face].mean() < 0.6
        assert not mask[chin[1], chin[0]]


def test_several_parts_are_more_than_one_and_not_all(subject: Subjects) -> None:
    target, donor = subject(192), subject(192, 1)
    centres = {
        name: target.landmarks[list(PARTS[name])].mean(axis=0).astype(int)
        for name in PART_KINDS["several"]
    }
    counts = set()
    for seed in range(12):
        _, mask = part_swap(target, donor, np.random.default_rng(seed), "several")
        counts.add(sum(bool(mask[y, x]) for x, y in centres.values()))
    assert min(counts) >= 2
    assert min(counts) < len(centres)


def test_colours_are_those_of_the_targets_face(subject: Subjects) -> None:
    """A donor in another light; nine in ten are recoloured by what the whole faces differ in."""
    target, donor = subject(192), subject(192, 1)
    blue = replace(donor, image=(donor.image * np.array([0.4, 0.6, 1.0])).astype(np.uint8))
    near = 0
    for seed in range(12):
        fake, mask = part_swap(target, blue, np.random.default_rng(seed), "nose")
        core = mask & (np.abs(fake.astype(int) - target.image) > 0).any(axis=2)
        gap = fake[core].mean(axis=0) - target.image[core].mean(axis=0)
        near += np.abs(gap).max() < 40
    assert near >= 9


def test_unknown_kinds_and_foreign_landmarks_are_refused(subject: Subjects) -> None:
    target, donor = subject(96), subject(96, 1)
    with pytest.raises(ConfigError, match="eyes, eye, nose, mouth, several"):
        part_swap(target, donor, np.random.default_rng(0), "ear")
    away = replace(donor, landmarks=donor.landmarks + 500)
    with pytest.raises(ShapeError, match="donor's landmarks lie outside its picture"):
        part_swap(target, away, np.random.default_rng(0), "nose")
