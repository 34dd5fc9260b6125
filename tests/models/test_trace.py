"""TraceNet: what its maps are, what scaling does to a soft picture, and pooling by region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from unmask.models.trace import (
    BOX,
    CHANNELS,
    FLOOR,
    TraceConfig,
    TraceNet,
    TraceViews,
    local_scale,
    pooled,
)


def pictures(n: int = 2, side: int = 32, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, 3, side, side)).astype(np.float32))


@pytest.mark.parametrize("name", CHANNELS)
def test_residuals_are_blind_to_a_constant_and_truncated(name: Any) -> None:
    views = TraceViews(TraceConfig(residuals=(name,), limit=4.0))
    flat = torch.full((1, 3, 24, 24), 137.0)
    found = views(flat)
    assert found.shape == (1, CHANNELS[name], 24, 24)
    if name == "rgb":
        torch.testing.assert_close(found, torch.full_like(found, 137 / 127.5 - 1))
        return
    assert found.abs().max() < 1e-4
    strong = views(pictures())
    assert strong.abs().max() == 1.0
    assert strong.std() > 0.3


def test_filters_of_luma_by_hand() -> None:
    """The third filter takes half of a pixel's second difference along its row."""
    views = TraceViews(TraceConfig(residuals=("srm",), limit=255.0))
    rgb = pictures(1)
    luma = (rgb * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
    expected = (luma[..., :-2] - 2 * luma[..., 1:-1] + luma[..., 2:]) / 2
    torch.testing.assert_close(views(rgb)[:, 2, :, 1:-1] * 255, expected, atol=1e-3, rtol=1e-5)


def test_maps_are_stacked_in_their_order() -> None:
    rgb = pictures()
    both = TraceViews(TraceConfig(residuals=("dct", "resampling")))(rgb)
    one = TraceViews(TraceConfig(residuals=("resampling",)))(rgb)
    assert both.shape[1] == 4
    torch.testing.assert_close(both[:, 1:], one)


def test_local_scaling_against_scipy_and_its_purpose() -> None:
    residual = torch.randn(1, 2, 40, 40, generator=torch.Generator().manual_seed(1)) * 6
    inside = slice(BOX // 2, -(BOX // 2))
    values = residual.numpy().astype(np.float64)
    power = ndimage.uniform_filter(values**2, (1, 1, BOX, BOX))
    expected = values / (np.sqrt(power) + FLOOR)
    got = local_scale(residual).numpy()[..., inside, inside]
    np.testing.assert_allclose(got, expected[..., inside, inside], atol=1e-5)
    # ten times the contrast is nearly the same picture
    strong = local_scale(residual * 100)
    torch.testing.assert_close(local_scale(residual * 1000), strong, rtol=0.01, atol=1e-4)


def test_pooling_by_hand() -> None:
    features = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    weights = torch.tensor([[[0.5, 0.5], [0.0, 0.0]], [[0.0, 0.0], [0.25, 0.75]]])
    assert pooled(features, weights, False).tolist() == [[[2.0], [6.5]]]
    found = pooled(features, weights, True)
    # deviations: of 1, 3 it is 1; of 5, 7 weighted 1:3 it is sqrt(.75)
    torch.testing.assert_close(found, torch.tensor([[[2.0, 1.0], [6.5, 0.75**0.5]]]))


@pytest.mark.parametrize("changes", [{"regions": True}, {"deviation": True, "regions": True}])
def test_regions_part_the_window(changes: dict[str, Any]) -> None:
    model = TraceNet(TraceConfig(width=2, **changes)).eval()
    weights = model._weights(torch.zeros(1, 1, 16, 16))
    assert weights.shape == (2, 16, 16)
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(2))
    assert not (weights[0] * weights[1]).any()
    assert weights[0, 8, 8] > 0
    assert weights[1, 0, 0] > 0
    share = float((weights[0] > 0).float().mean())
    assert share == pytest.approx(np.pi * 0.30 * 0.38, abs=0.05)
    output = model(pictures(side=64), pictures(side=64))
    assert output.embedding.shape == (2, 128)


def test_an_odd_window_loses_its_last_row_and_column() -> None:
    model = TraceNet(TraceConfig(width=2, residuals=("resampling", "srm"))).eval()
    rgb = pictures(side=65)
    with torch.no_grad():
        odd = model(rgb, rgb).logit
        even = model(rgb, rgb[..., :64, :64]).logit
    torch.testing.assert_close(odd, even)
