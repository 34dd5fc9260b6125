"""The attention loss by hand, against finite differences, and which pictures take part."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from unmask.errors import ConfigError, ShapeError
from unmask.losses import attention

ALL = torch.tensor([True, True])


def case(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two maps of 3 x 4 cells and masks of 12 x 8 pixels, neither empty."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64)
    return maps, torch.rand(2, 12, 8, generator=generator) > 0.6


def test_without_upsampling_it_is_the_mean_squared_error() -> None:
    maps = torch.tensor([[[0.5, 1.0], [0.0, 0.25]]])
    masks = torch.tensor([[[True, True], [False, False]]])
    got = attention(maps, masks, torch.tensor([True]))
    assert float(got) == pytest.approx((0.25 + 0.0 + 0.0 + 0.0625) / 4)


def test_maps_are_laid_over_masks_as_the_heatmap_of_a_scan_is() -> None:
    maps, masks = case()
    laid = np.stack([cv2.resize(m, (8, 12), interpolation=cv2.INTER_LINEAR) for m in maps.numpy()])
    expected = ((laid - masks.numpy()) ** 2).mean()
    assert float(attention(maps, masks, ALL)) == pytest.approx(expected, rel=1e-9)


def test_only_pictures_with_a_mask_count() -> None:
    maps, masks = case()
    one = attention(maps[:1], masks[:1], torch.tensor([True]))
    maps.requires_grad_()
    got = attention(maps, masks, torch.tensor([True, False]))
    torch.testing.assert_close(got, one)
    got.backward()
    assert maps.grad is not None
    assert maps.grad[0].any()
    assert not maps.grad[1].any()


def test_what_stands_in_a_missing_mask_does_not_matter() -> None:
    maps, masks = case()
    other = masks.clone()
    other[1] = ~other[1]
    has = torch.tensor([True, False])
    assert attention(maps, masks, has) == attention(maps, other, has)


def test_without_any_mask_the_loss_and_its_gradient_are_zero() -> None:
    maps, masks = case()
    maps.requires_grad_()
    loss = attention(maps, masks, ~ALL)
    assert loss == 0
    loss.backward()
    assert maps.grad is not None
    assert not maps.grad.any()


def test_reals_count_as_empty_masks_when_asked() -> None:
    maps, masks = case()
    labels, none = torch.tensor([0, 1]), torch.tensor([False, False])
    assert attention(maps, masks, none, labels=labels) == 0
    empty = torch.zeros_like(masks)
    expected = attention(maps[:1], empty[:1], torch.tensor([True]))
    got = attention(maps, masks, none, labels=labels, quiet_reals=True)
    torch.testing.assert_close(got, expected)
    both = attention(maps, masks, torch.tensor([False, True]), labels=labels, quiet_reals=True)
    fake = attention(maps[1:], masks[1:], torch.tensor([True]))
    torch.testing.assert_close(both, (expected + fake) / 2)
    with pytest.raises(ConfigError, match="give labels"):
        attention(maps, masks, ALL, quiet_reals=True)


def test_scaled_to_the_area_only_the_place_counts() -> None:
    maps, masks = case(3)
    got = attention(maps, masks, ALL, normalisation="area")
    torch.testing.assert_close(got, attention(maps * 7.5, masks, ALL, normalisation="area"))
    assert got != attention(maps, masks, ALL)
    exact = masks.to(torch.float64) * 0.2
    assert float(attention(exact, masks, ALL, normalisation="area")) == pytest.approx(0, abs=1e-12)
    quarter = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    flat = attention(torch.full_like(quarter, 9.0), quarter, ALL[:1], normalisation="area")
    assert float(flat) == pytest.approx((0.75**2 + 3 * 0.25**2) / 4)


def test_scaling_leaves_maps_alone_that_have_nothing_to_be_scaled_to() -> None:
    maps, masks = case()
    empty = torch.zeros_like(masks)
    plain = attention(maps, empty, ALL)
    assert attention(maps, empty, ALL, normalisation="area") == plain > 0
    dark = torch.zeros_like(maps).requires_grad_()
    loss = attention(dark, masks, ALL, normalisation="area")
    torch.testing.assert_close(loss, masks.double().mean())
    loss.backward()
    assert dark.grad is not None
    assert dark.grad.isfinite().all()
    assert dark.grad.any()


@pytest.mark.parametrize("options", [{}, {"normalisation": "area"}, {"quiet_reals": True}])
def test_the_gradient_against_finite_differences(options: dict[str, Any]) -> None:
    maps, masks = case(5)
    labels = torch.tensor([1, 0])
    has = torch.tensor([True, False])
    maps = (maps + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m: attention(m, masks, has, labels=labels, **options), maps
    )


def test_half_precision_is_raised() -> None:
    maps, masks = case()
    assert attention(maps.bfloat16(), masks, ALL).dtype == torch.float32


def test_what_does_not_fit_is_refused() -> None:
    maps, masks = case()
    wrong: Any = "mean"
    with pytest.raises(ConfigError, match="'mean'"):
        attention(maps, masks, ALL, normalisation=wrong)
    with pytest.raises(ShapeError, match=r"\(2, 1, 12, 8\)"):
        attention(maps, masks[:, None], ALL)
    with pytest.raises(ShapeError, match=r"\(1, 12, 8\)"):
        attention(maps, masks[:1], ALL)
    with pytest.raises(ShapeError, match=r"has_mask \(2,\)"):
        attention(maps, masks, ALL[:1])
    with pytest.raises(ShapeError, match=r"labels \(2,\)"):
        attention(maps, masks, ALL, labels=torch.zeros(3))
