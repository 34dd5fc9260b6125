"""Rich statistics against slow loops, numpy and scipy; and what must not change them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate

from unmask.models.rich import (
    FILTERS,
    LAGS,
    RichConfig,
    RichFeatures,
    RichNet,
    _filtered,
    autocorrelation,
    cooccurrence,
    quantise,
    triple_classes,
    triple_keys,
    ycbcr,
)

CONFIG = RichConfig()
CLASSES = 39


def pixels(side: int = 64, seed: int = 0) -> torch.Tensor:
    """(1, 3, side, side) smooth structure with fine noise, 0-255."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 8, 8, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    noise = torch.randn(1, 3, side, side, generator=generator) * 3
    return (smooth + noise).clamp(0, 255).round()


def test_there_are_39_classes() -> None:
    classes = triple_classes()
    assert set(classes.tolist()) == set(range(CLASSES))
    for index in range(125):
        t = (index // 25, index // 5 % 5, index % 5)
        reverse = t[2] * 25 + t[1] * 5 + t[0]
        negative = (4 - t[0]) * 25 + (4 - t[1]) * 5 + 4 - t[2]
        assert classes[index] == classes[reverse] == classes[negative]
    # Burnside: (125 + 25 symmetric + 1 zero + 5 antisymmetric) / 4 orbits
    assert CLASSES == (125 + 25 + 1 + 5) // 4


def test_quantisation_rounds_and_truncates() -> None:
    residual = torch.tensor([-9.0, -3.1, -2.9, -0.9, 0.0, 0.9, 1.1, 3.1, 50.0])
    assert quantise(residual.clone(), 2.0).tolist() == [0, 0, 1, 2, 2, 2, 3, 4, 4]


def test_quantisation_leaves_its_input_alone() -> None:
    residual = torch.tensor([[0.4, 7.0]])
    quantise(residual, 1.0)
    assert residual.tolist() == [[pytest.approx(0.4), 7.0]]


def slow_table(levels: NDArray[np.int64], region: NDArray[np.int64]) -> NDArray[np.float64]:
    counts: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for y in range(levels.shape[0]):
        for x in range(1, levels.shape[1] - 1):
            a, b, c = (int(v) for v in levels[y, x - 1 : x + 2])
            counts[region[y, x]][a * 25 + b * 5 + c] += 1
    table = np.zeros((2, 125))
    for side, counter in enumerate(counts):
        for key, count in counter.items():
            table[side, key] = count / counter.total()
    return table


@pytest.mark.parametrize("regions", ["both", "outer only"])
def test_cooccurrence_equals_a_loop(regions: str) -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 5, (2, 9, 13))
    region = rng.integers(0, 2, (9, 13)) if regions == "both" else np.ones((9, 13), np.int64)
    keys = triple_keys(
        torch.from_numpy(levels).to(torch.uint8), torch.from_numpy(region).to(torch.uint8)
    )
    got = cooccurrence(keys).numpy()
    for item in range(2):
        np.testing.assert_allclose(got[item], slow_table(levels[item], region), atol=1e-6)


def test_autocorrelation_equals_a_loop() -> None:
    picture = np.random.default_rng(1).normal(size=(20, 24))
    centred = picture - picture.mean()
    expected = np.empty((LAGS, LAGS))
    for dy in range(LAGS):
        for dx in range(LAGS):
            both = [np.roll(centred, (dy, sign * dx), (0, 1)) for sign in (1, -1)]
            expected[dy, dx] = np.mean([(centred * moved).sum() for moved in both])
    expected /= expected[0, 0]
    got = autocorrelation(torch.from_numpy(picture)[None])[0].numpy()
    np.testing.assert_allclose(got, expected.ravel()[1:], atol=1e-10)


def test_autocorrelation_shows_the_period_of_upsampling() -> None:
    comb = torch.zeros(1, 64, 64)
    comb[:, ::4, ::4] = 1.0
    corner = torch.cat([torch.ones(1), autocorrelation(comb)[0]]).view(LAGS, LAGS)
    assert torch.argwhere(corner > 0.9).tolist() == [[y, x] for y in (0, 4, 8) for x in (0, 4, 8)]
    assert autocorrelation(torch.full((1, 32, 32), 7.0)).abs().max() == 0


@pytest.mark.parametrize("name", FILTERS)
def test_filters_equal_scipys(name: str) -> None:
    plane = np.random.default_rng(2).uniform(0, 255, (11, 14))
    kernel = np.array(FILTERS[name])
    # scipy centres an even kernel to the right, ours to the left
    origin = (0, -1 if kernel.shape[1] % 2 == 0 else 0)
    expected = correlate(plane, kernel, mode="nearest", origin=origin)
    got = _filtered(torch.from_numpy(plane)[None], FILTERS[name])[0].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-9)
    assert abs(kernel.sum()) < 1e-12
    assert np.abs(kernel).max() == 1.0


def test_ycbcr_is_jpegs() -> None:
    from PIL import Image

    rgb = np.random.default_rng(3).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(rgb).convert("YCbCr")).astype(float) - (0, 128, 128)
    got = ycbcr(torch.from_numpy(rgb).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0)
    assert np.abs(got.numpy() - expected).max() <= 1.0


def test_the_regions_are_the_inner_ellipse_and_the_rest() -> None:
    features = RichFeatures(CONFIG)
    region = features._region(torch.zeros(1, 3, 100, 100))
    assert region[50, 50] == 0
    assert region[0, 0] == region[50, 10] == region[5, 50] == 1
    inner = float((region == 0).float().mean())
    assert inner == pytest.approx(np.pi * 0.30 * 0.38, rel=0.01)


def test_the_features_are_sized_finite_and_ordered() -> None:
    features = RichFeatures(CONFIG)
    statistics = features(pixels())
    # luma: 2 steps x (2 + 2 + 1 tables), chroma: 5 tables each; inner, outer and difference
    tables = 2 * 5 + 2 * 5
    assert statistics.shape == (1, tables * CLASSES * 3 + LAGS**2 - 1 + 63)
    assert features.size == statistics.shape[1]
    for extreme in (torch.zeros(1, 3, 40, 48), torch.full((1, 3, 32, 32), 255.0)):
        assert torch.isfinite(features(extreme)).all()
    # merged frequencies: the square of each table's roots sums to one per region
    roots = statistics[0, : tables * 2 * CLASSES].view(tables, 2, CLASSES)
    torch.testing.assert_close(roots.square().sum(2), torch.ones(tables, 2))


def test_a_mirrored_face_has_the_same_statistics_up_to_one_border_column() -> None:
    features, image = RichFeatures(CONFIG), pixels(128)
    one, two = features(image)[0], features(image.flip(3))[0]
    tail = LAGS**2 - 1 + 63
    torch.testing.assert_close(two[-tail:], one[-tail:], atol=1e-4, rtol=1e-4)
    # the first-order residual of an even kernel moves by a pixel when mirrored
    assert (two - one)[:-tail].abs().max() < 0.03
    softened = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    assert (features(softened)[0] - one)[:-tail].abs().max() > 0.2


def test_batches_and_autocast_change_nothing() -> None:
    features = RichFeatures(CONFIG)
    images = torch.cat([pixels(seed=s) for s in range(3)])
    together = features(images)
    torch.testing.assert_close(features(images[1:2])[0], together[1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(features(images), together)


def test_standardising_brings_statistics_to_mean_0_and_deviation_1() -> None:
    net = RichNet(RichConfig(fused=8, projection=4)).eval()
    statistics = torch.randn(500, net.statistics.size) * 3 + 7
    net.standardise_to(statistics.mean(0), statistics.std(0))
    standard = (statistics - net.mean) * net.scale
    assert standard.mean(0).abs().max() < 1e-4
    torch.testing.assert_close(standard.std(0), torch.ones(net.statistics.size), atol=1e-3, rtol=0)


def test_the_attribution_lies_where_the_evidence_is() -> None:
    features = RichFeatures(CONFIG)
    clean, spoilt = pixels(128, seed=4), pixels(128, seed=4)
    spoilt[..., 16:48, 70:110] += torch.randn(1, 3, 32, 40) * 25
    net = RichNet(RichConfig(fused=8, projection=4, dropout=0)).eval()
    direction = features(spoilt)[0] - features(clean)[0]
    net.standardise_to(features(clean)[0], torch.full((features.size,), 0.05))
    with torch.no_grad():  # a linear detector of exactly this change
        net.fusion[1].weight.copy_(direction.expand(8, -1))
        net.logit.weight.fill_(1.0)
    heat = net.attribution(spoilt.clamp(0, 255))
    assert heat.shape == (128, 128)
    assert float(heat.min()) >= 0
    inside = heat[16:48, 70:110].sum() / heat.sum()
    assert float(inside) > 0.4  # 8% of the window; smoothing spreads it by 16 pixels


def test_the_pixels_votes_balance() -> None:
    # one more vote for a triple is one less for the others, so each region's heat sums to zero
    features, image = RichFeatures(CONFIG), pixels(96, seed=5)
    image = (image + torch.arange(96.0).view(1, 1, 1, -1) % 3 * 4).clamp(0, 255)  # not isotropic
    gradient = torch.randn(1, features.size, generator=torch.Generator().manual_seed(1))
    heat = features.spread(image, gradient)
    region = features._region(image)
    assert float(heat.abs().mean()) > 0.1
    for side in (0, 1):
        votes = heat[region == side]
        assert abs(float(votes.sum())) < 1e-4 * float(votes.abs().sum())


def test_colours_occur_together_as_a_loop_counts_them() -> None:
    features = RichFeatures(RichConfig(colour=True))
    image = pixels(24, seed=6)
    table = features.tables(image)[-1]
    assert table.colour
    levels = np.stack([
        np.clip(np.rint(correlate(plane, np.array(FILTERS["square"]), mode="nearest")), -2, 2)
        for plane in image[0].double().numpy()
    ]).astype(int) + 2  # fmt: skip
    region = features._region(image).numpy()
    counts: Counter[tuple[int, frozenset[tuple[int, ...]]]] = Counter()
    for y in range(24):
        for x in range(24):
            triple = tuple(int(v) for v in levels[:, y, x])
            both = frozenset({triple, tuple(4 - v for v in triple)})
            counts[int(region[y, x]), both] += 1
    got = features.roots(table)[0].square()
    assert got.shape == (2, 63)
    for side in (0, 1):
        total = sum(n for (place, _), n in counts.items() if place == side)
        expected = sorted(n / total for (place, _), n in counts.items() if place == side)
        found = sorted(v for v in got[side].tolist() if v > 0)
        assert found == pytest.approx(expected, abs=1e-6)


def test_scales_are_those_of_the_averaged_picture() -> None:
    both = RichFeatures(RichConfig(scales=(1, 2), colour=True))
    image = pixels(64, seed=7)
    small = torch.nn.functional.avg_pool2d(image, 2)
    tables = both.tables(image)
    assert [table.scale for table in tables] == [1] * 21 + [2] * 21
    alone = RichFeatures(RichConfig(colour=True)).tables(small)
    for got, expected in zip(tables[21:], alone, strict=True):
        torch.testing.assert_close(both.roots(got), both.roots(expected))


WHOLE = RichConfig(
    steps=(1.0, 2.0, 4.0),
    filters=("first", "second", "square", "third", "wide"),
    scales=(1, 2),
    colour=True,
)


def test_all_that_can_be_measured_is_sized_and_attributed() -> None:
    features, image = RichFeatures(WHOLE), pixels(97, seed=8)
    tables = (3 + 2) * 8  # steps of luma, one of each chroma; kernels with and without a direction
    assert features.size == 2 * (tables * CLASSES + 63) * 3 + LAGS**2 - 1 + 63
    statistics = features(image).requires_grad_()
    assert torch.isfinite(statistics).all()
    gradient = torch.randn(1, features.size, generator=torch.Generator().manual_seed(1))
    heat = features.spread(image, gradient)
    assert heat.shape == (97, 97)
    assert abs(float(heat.sum())) < 1e-4 * float(heat.abs().sum())


def test_a_vote_of_a_coarse_table_lies_over_its_pixels() -> None:
    features = RichFeatures(RichConfig(scales=(2,)))
    fine = RichFeatures(RichConfig())
    image = pixels(64, seed=9)
    gradient = torch.randn(1, features.size, generator=torch.Generator().manual_seed(2))
    heat = features.spread(image, gradient)
    small = fine.spread(torch.nn.functional.avg_pool2d(image, 2), gradient)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(heat[None, None], 2)[0, 0] * 4, small)
    assert (heat[::2, ::2] == heat[1::2, 1::2]).all()
