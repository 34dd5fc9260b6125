"""The learned swap: colours come from the target, features from the person painted."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from unmask.errors import ConfigError, ShapeError
from unmask.faces import MTCNNDetector, crop_face, find_faces, warp_points
from unmask.media import decode
from unmask.synthesis import autoencoder_swap as module
from unmask.synthesis.autoencoder_swap import (
    FIVE,
    PEOPLE,
    SIDE,
    Decoder,
    Encoder,
    aligning,
    autoencoder_swap,
    feathered_hull,
    oval,
    paint,
    pretrained,
    standardised,
)
from unmask.synthesis.shape import dense_landmarks

WEIGHTS = resources.files("unmask.synthesis").joinpath("weights")
PICTURES = sorted((Path(__file__).parents[1] / "data").glob("*.jpg"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def faces() -> list[tuple[Any, Any]]:
    """(crop, landmarks) of the real faces beside the tests."""
    detector, found = MTCNNDetector(), []
    for path in PICTURES:
        frame = decode(path).frames[0]
        crop = crop_face(frame, find_faces(frame, detector)[0])
        five = crop.face.landmarks - np.array(crop.box[:2], np.float32)
        found.append((crop.image, dense_landmarks(five)))
    assert len(found) == 4
    return found


def aligned(face: Any, points: Any) -> Any:
    return cv2.warpAffine(face, aligning(points), (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)


def test_the_networks_fit_their_square_and_every_weight_learns() -> None:
    encoder, decoder = Encoder(), Decoder()
    painted = decoder(encoder(torch.rand(2, 3, SIDE, SIDE)))
    assert painted.shape == (2, 3, SIDE, SIDE)
    painted.square().mean().backward()
    for model in (encoder, decoder):
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_the_weights_are_small_and_their_making_is_on_record() -> None:
    for name in ("encoder", *PEOPLE):
        data = WEIGHTS.joinpath(f"swap_{name}.safetensors").read_bytes()
        assert 50_000 < len(data) < 1_000_000
    facts = json.loads(WEIGHTS.joinpath("autoencoder_swap.json").read_text("utf-8"))
    assert facts["people"] == {name: who for name, (who, _) in PEOPLE.items()}
    assert {split for _, split in PEOPLE.values()} == {"train", "val", "test"}
    assert len(set(facts["people"].values())) == len(PEOPLE)
    assert {"command", "seed", "steps", "faces", "psnr_db"} <= set(facts)
    assert all(facts["psnr_db"][name] > 24 for name in PEOPLE)
    assert pretrained("a")[0].training is False


def test_aligned_faces_have_their_pupils_in_one_place(sample: Any) -> None:
    _, points = sample(160)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    pupils = []
    for placed in (points, points * 2.5 + 30, points @ turn.T + 50):
        put = warp_points(placed, aligning(placed))
        np.testing.assert_allclose(warp_points(points, aligning(points)), put, atol=1e-6)
        pupils.append(put[:2])
    # half the pupil distance left and right of the middle, 0.65 of it above
    unit = SIDE / 2.4
    expected = np.array([[-0.5, -0.65], [0.5, -0.65]]) * unit + SIDE / 2 - 0.5
    np.testing.assert_allclose(pupils[0], expected, atol=0.08 * unit)
    with pytest.raises(ShapeError, match="landmarks coincide"):
        aligning(np.zeros((189, 2)))


def test_standardising_is_undone_by_what_it_returns() -> None:
    face = rng().uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32) * (1, 0.6, 0.3)
    standard, mean, deviation = standardised(face.astype(np.float32))
    np.testing.assert_allclose(standard[oval()].mean(axis=0), 0.5, atol=1e-4)
    np.testing.assert_allclose(standard[oval()].std(axis=0), 0.18, atol=1e-4)
    np.testing.assert_allclose((standard - 0.5) / 0.18 * deviation + mean, face, atol=1e-2)
    again, _, _ = standardised(((face - 40) * 0.5).astype(np.float32))
    np.testing.assert_allclose(again, standard, atol=1e-4)
    flat, _, deviation = standardised(np.full((SIDE, SIDE, 3), 90, np.float32))
    np.testing.assert_allclose(flat, 0.5)
    np.testing.assert_allclose(deviation, 0)
    assert 0.4 < oval().mean() < 0.7


@pytest.mark.parametrize("person", PEOPLE)
def test_a_strangers_code_is_brought_to_what_the_decoder_knows(person: str) -> None:
    _, decoder = pretrained(person)
    axes, spread = decoder.axes, decoder.spread
    np.testing.assert_allclose(axes @ axes.T, np.eye(module.CODE), atol=5e-3)
    assert (spread > 0).all()
    assert (spread[:-1] >= spread[1:]).all()
    draws = torch.from_numpy(rng().uniform(-1.9, 1.9, (20, module.CODE))).float()
    own = (draws * spread) @ axes
    np.testing.assert_allclose(decoder.known(own), own, atol=0.05)
    strange = decoder.known(own + 40 * axes[3]) @ axes.T / spread
    np.testing.assert_allclose(strange[:, 3], 2.0, atol=0.05)
    np.testing.assert_allclose(strange[:, :3], draws[:, :3], atol=0.1)


@pytest.mark.parametrize("person", PEOPLE)
def test_what_is_painted_has_the_targets_colours(person: str, faces: Any) -> None:
    for face, points in faces:
        target = aligned(face, points)
        painted = paint(target, person)
        assert (painted.shape, painted.dtype) == ((SIDE, SIDE, 3), np.float32)
        assert 0 <= painted.min() <= painted.max() <= 255
        for measure, room in ((np.mean, 3.0), (np.std, 4.0)):
            apart = measure(painted[oval()], axis=0) - measure(target[oval()], axis=0)
            assert np.abs(apart).max() < room


def test_people_look_like_themselves_whoever_lends_the_face(faces: Any) -> None:
    # standardised, two targets painted as one person are more alike than one target painted as two
    painted = np.stack(
        [
            [standardised(paint(aligned(*face), person))[0][oval()].ravel() for face in faces]
            for person in PEOPLE
        ]
    )
    one_person, one_target = [], []
    for i in range(len(PEOPLE)):
        for j in range(len(faces)):
            one_person += [np.corrcoef(painted[i, j], p)[0, 1] for p in painted[i, j + 1 :]]
            one_target += [np.corrcoef(painted[i, j], p)[0, 1] for p in painted[i + 1 :, j]]
    own = [
        np.corrcoef(painted[0, j], standardised(aligned(*f).astype(np.float32))[0][oval()].ravel())[
            0, 1
        ]
        for j, f in enumerate(faces)
    ]
    assert np.median(one_person) > np.median(one_target)
    assert np.median(one_person) > np.median(own)


def test_a_face_is_changed_and_stays_a_face(faces: Any) -> None:
    detector = MTCNNDetector()
    for index, (face, points) in enumerate(faces):
        for person in PEOPLE:
            fake, mask = autoencoder_swap(face, points, rng(index), person)
            assert np.abs(fake.astype(float) - face)[mask].mean() > 4
            assert 0.1 < mask.mean() < 0.5
            np.testing.assert_array_equal(fake[~mask], face[~mask])
            found = detector.detect(fake)
            assert found
            unit = float(np.linalg.norm(points[1] - points[0]))
            assert np.abs(found[0].landmarks - points[list(FIVE)]).max() < 0.35 * unit


def test_the_hull_is_feathered_inwards(sample: Any) -> None:
    _, points = sample(256)
    outline = module.hull_alpha((256, 256), points[list(module.HULLS["face"])])
    for seed in range(10):
        alpha = feathered_hull((256, 256), points, rng(seed))
        assert alpha.max() == pytest.approx(1, abs=1e-3)
        assert alpha[outline == 0].max() < 0.1
        assert ((alpha > 0.05) & (alpha < 0.95)).mean() > 0.01


def test_grey_stays_grey(sample: Any) -> None:
    _, points = sample(64)
    for value in (0, 128, 255):
        grey = np.full((64, 64, 3), value, np.uint8)
        for person in PEOPLE:
            fake, mask = autoencoder_swap(grey, points, rng(), person)
            np.testing.assert_array_equal(fake, grey)
            assert mask.any()


def test_everyone_is_drawn(sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    face, points = sample(48)
    drawn: list[str] = []

    def watched(picture: Any, person: str) -> Any:
        drawn.append(person)
        return picture.astype(np.float32)

    monkeypatch.setattr(module, "paint", watched)
    for seed in range(40):
        autoencoder_swap(face, points, rng(seed))
    assert set(drawn) == set(PEOPLE)


def test_what_cannot_work_is_refused(sample: Any) -> None:
    face, points = sample(64)
    with pytest.raises(ConfigError, match=r"no person 'z'; choose of a, b"):
        autoencoder_swap(face, points, rng(), "z")
    with pytest.raises(ShapeError, match="landmarks lie outside the 64 x 64 picture"):
        autoencoder_swap(face, points + 1000, rng())
