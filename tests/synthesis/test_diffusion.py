"""The diffusion model takes noise away, draws new detail, and keeps the rest of the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from unmask.errors import ConfigError
from unmask.synthesis.diffusion import Denoiser, diffusion, noised_and_denoised, pretrained
from unmask.types import UInt8Image

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def face() -> UInt8Image:
    """A real face at 256 pixels."""
    bgr = cv2.imread(str(DATA / "london_006_03.jpg"))
    small = cv2.resize(bgr, (256, 256), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1])


def gap(a: UInt8Image, b: UInt8Image) -> float:
    """Root mean squared difference in grey levels."""
    return float(np.sqrt(np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.parametrize("level", [10.0, 20.0])
def test_one_step_takes_most_of_the_noise_away(level: float, face: UInt8Image) -> None:
    clean = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 127.5 - 1
    sigma = level / 127.5
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        rebuilt = noisy - sigma * pretrained()(noisy, torch.tensor([sigma]))
    error = float((rebuilt - clean).square().mean().sqrt())
    assert error < 0.5 * sigma


def test_more_noise_changes_more(face: UInt8Image) -> None:
    gaps = [
        gap(noised_and_denoised(face, start, 3, np.random.default_rng(0)), face)
        for start in (4.0, 12.0, 32.0)
    ]
    assert gaps == sorted(gaps)
    assert gaps[0] > 0.3
    assert gaps[-1] < 16  # half of the noise that was added


def test_what_is_larger_than_the_detail_stays(face: UInt8Image) -> None:
    out = noised_and_denoised(face, 20.0, 4, np.random.default_rng(0))
    small = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA) for image in (face, out)]
    assert gap(small[0], small[1]) < 3


def test_noise_drawn_anew_gives_another_picture(face: UInt8Image) -> None:
    ways = [
        noised_and_denoised(face, 20.0, 4, np.random.default_rng(0), stochastic=stochastic)
        for stochastic in (False, True)
    ]
    assert gap(ways[0], ways[1]) > 0.5


@pytest.mark.parametrize("size", [(61, 50), (700, 530)])
def test_any_size_comes_back_as_it_was(size: tuple[int, int], face: UInt8Image) -> None:
    picture = cv2.resize(face, size)
    out = noised_and_denoised(picture, 10.0, 2, np.random.default_rng(0))
    assert out.shape == picture.shape
    assert gap(out, picture) < 8


def test_the_network_sees_the_noise_level() -> None:
    torch.manual_seed(0)
    model, picture = Denoiser().eval(), torch.zeros(2, 3, 16, 16)
    with torch.inference_mode():
        out = model(picture, torch.tensor([0.02, 0.2]))
    assert out.shape == picture.shape
    assert (out[0] - out[1]).abs().max() > 1e-3


def test_unknown_kinds_are_refused(sample: Any) -> None:
    image, points = sample(64)
    with pytest.raises(ConfigError, match="deterministic, stochastic"):
        diffusion(image, points, np.random.default_rng(0), "ddim")
