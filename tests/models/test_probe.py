"""What a frozen network sees, against hooks and loops; and that it stays frozen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.models.probe import (
    CELLS,
    GRAMS,
    ProbeConfig,
    ProbeFeatures,
    ProbeNet,
    by_cell,
    gram,
    moments,
)
from unmask.models.rich import RichConfig, RichFeatures, RichNet


def pixels(count: int = 2, side: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator).float()


@pytest.fixture(scope="module")
def net() -> ProbeNet:
    torch.manual_seed(0)
    return ProbeNet(ProbeConfig(rich=True)).eval()


def test_means_and_deviations_are_those_of_the_stages(net: ProbeNet) -> None:
    backbone = net.statistics.backbone.net
    seen: list[Tensor] = []
    hooks = [
        stage.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
        for stage in net.statistics.stages
    ]
    with torch.no_grad():
        parts = net.statistics.parts(pixels())
        seen.clear()
        backbone.forward_features((pixels() / 255 - 0.5) / 0.5)  # type: ignore[operator]
    for hook in hooks:
        hook.remove()
    assert len(seen) == 7
    for number, map_ in enumerate(seen, 1):
        values = map_.numpy()
        np.testing.assert_allclose(
            parts[f"mean {number}"], values.mean(axis=(2, 3)), rtol=1e-3, atol=1e-4
        )
        np.testing.assert_allclose(
            parts[f"deviation {number}"].square(),
            values.var(axis=(2, 3)) + 1e-6,
            rtol=1e-3,
            atol=1e-4,
        )
        assert (f"gram {number}" in parts) == (number <= GRAMS)


@pytest.mark.parametrize(
    "backbone", ["tf_efficientnet_lite0", "efficientnet_b0", "tf_efficientnetv2_b0"]
)
def test_parts_have_the_sizes_that_columns_go_by(backbone: str) -> None:
    config = ProbeConfig(backbone=backbone, cells=(6, 5))
    features = ProbeFeatures(config, pretrained=False, weights=None)
    with torch.no_grad():
        found = features.parts(pixels(1))
    assert {name: part.shape[1] for name, part in found.items()} == features.sizes
    assert list(found) == list(features.sizes)


def test_gram_matrices_equal_a_loop() -> None:
    seen = torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(0))
    found = gram(seen).numpy()
    for item, row in zip(seen.numpy().astype(np.float64), found, strict=True):
        expected = []
        for one in range(3):
            for other in range(one, 3):
                product = sum(item[one, i] * item[other, i] for i in range(10)) / 10
                expected.append(np.sign(product) * np.sqrt(abs(product) + 1e-6))
        np.testing.assert_allclose(row, expected, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(12, 12), (6, 6), (7, 5)])
def test_cells_equal_a_loop(height: int, width: int) -> None:
    """Cell i of n spans floor(i side / n) to ceil((i + 1) side / n), as torch's pooling has it."""
    seen = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    expected = np.empty((2, 3, CELLS, CELLS))
    for i in range(CELLS):
        for j in range(CELLS):
            down = slice(i * height // CELLS, -(-(i + 1) * height // CELLS))
            across = slice(j * width // CELLS, -(-(j + 1) * width // CELLS))
            expected[:, :, i, j] = seen.numpy()[:, :, down, across].mean(axis=(2, 3))
    np.testing.assert_allclose(by_cell(seen), expected.reshape(2, -1), rtol=1e-5, atol=1e-6)


def test_cells_of_a_stage_have_its_means() -> None:
    features = ProbeFeatures(ProbeConfig(cells=(5,)), pretrained=False, weights=None)
    with torch.no_grad():
        parts = features.parts(pixels(side=64))  # a map of 4 x 4: a cell is a place
        alone = features.in_cells(pixels(side=64))
    assert torch.equal(alone, parts["cells 5"])
    torch.testing.assert_close(parts["cells 5"].view(2, -1, CELLS**2).mean(2), parts["mean 5"])


def test_rich_statistics_are_the_same_as_alone(net: ProbeNet) -> None:
    alone = RichFeatures(RichConfig())(pixels())
    assert torch.equal(net.statistics(pixels())[:, -alone.shape[1] :], alone)
    assert net.statistics.sizes["rich"] == alone.shape[1]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"mean": (1, 3), "deviation": ()}, ["mean 1", "mean 3"]),
        ({"mean": (), "deviation": (7,), "gram": (2,)}, ["gram 2", "deviation 7"]),
        ({"mean": (1,), "deviation": (), "cells": (6,)}, ["mean 1", "cells 6"]),
    ],
)
def test_the_head_looks_at_what_it_was_told_to(
    options: dict[str, tuple[int, ...]], parts: list[str]
) -> None:
    model = ProbeNet(ProbeConfig(**options)).eval()  # type: ignore[arg-type]
    sizes = model.statistics.sizes
    assert len(model.columns) == sum(sizes[name] for name in parts) == len(model.mean)
    whole = torch.randn(4, sum(sizes.values()))
    elsewhere = torch.ones(whole.shape[1], dtype=torch.bool)
    start = 0
    for name, size in sizes.items():
        if name in parts:
            elsewhere[start : start + size] = False
        start += size
    moved = torch.where(elsewhere, whole + 5, whole)
    assert torch.equal(model.head(whole).logit, model.head(moved).logit)
    assert not torch.equal(model.head(whole).logit, model.head(whole + 0.5).logit)


def test_training_leaves_the_frozen_network_as_it_is() -> None:
    model = ProbeNet().train()
    before = {name: value.clone() for name, value in model.statistics.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model(pixels(), pixels()).logit.sum().backward()
    optimiser.step()
    after = model.statistics.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert model.logit.weight.grad is not None


def test_what_is_kept_of_statistics_is_keyed_by_the_weights() -> None:
    torch.manual_seed(0)
    one, other = ProbeNet(), ProbeNet()
    assert one.sources()[0].measured != other.sources()[0].measured
    other.load_state_dict(one.state_dict())
    assert one.sources()[0].measured == other.sources()[0].measured


def test_its_sources_joined_are_its_statistics(net: ProbeNet) -> None:
    parts = [source.measure(pixels()) for source in net.sources()]
    assert torch.equal(torch.cat(parts, dim=1), net.statistics(pixels()))
    (rich,) = RichNet().sources()
    assert net.sources()[1].measured == rich.measured  # shared with networks of these alone


def test_cells_and_depth_leave_what_is_kept_of_the_rest_as_it_is() -> None:
    torch.manual_seed(0)
    whole = ProbeNet().eval()
    kept = whole.sources()[0]
    shallow = {"mean": (1, 6), "deviation": (4,)}
    found = [ProbeNet(ProbeConfig(**shallow, cells=cells)).eval() for cells in ((5,), (5, 6))]
    for one in found:
        one.statistics.load_state_dict(whole.statistics.state_dict())
        first = one.sources()[0]
        assert first.measured == kept.measured
        assert torch.equal(first.measure(pixels()), kept.measure(pixels()))
        parts = [source.measure(pixels())[:, : source.first] for source in one.sources()]
        assert torch.equal(torch.cat(parts, dim=1), one.statistics(pixels()))
        assert parts[0].shape[1] < kept.measure(pixels()).shape[1]
    assert found[0].sources()[1].measured != found[1].sources()[1].measured


def test_stages_that_nothing_looks_at_are_not_computed() -> None:
    model = ProbeNet(ProbeConfig(mean=(1, 3), deviation=(2,))).eval()
    seen: list[int] = []
    for number, stage in enumerate(model.statistics.stages, 1):
        stage.register_forward_hook(lambda *_, n=number: seen.append(n))  # type: ignore[misc]
    with torch.no_grad():
        found = model.statistics(pixels())
    assert seen == [1, 2, 3]
    assert found.shape[1] == sum(model.statistics.sizes.values())
    assert list(model.statistics.sizes)[-1] == "gram 3"


def test_a_head_is_no_deeper_than_the_statistics_that_it_shares() -> None:
    owner = ProbeNet(ProbeConfig(mean=(3,), deviation=()))
    assert ProbeNet(ProbeConfig(mean=(2,), deviation=()), statistics=owner.statistics)
    with pytest.raises(ConfigError, match=r"shares looks at .* stages 1 to 3; got mean 4"):
        ProbeNet(ProbeConfig(mean=(4,), deviation=()), statistics=owner.statistics)


def test_the_map_is_that_of_the_deepest_stage_in_use() -> None:
    model = ProbeNet(ProbeConfig(mean=(1, 2), deviation=(1,), gram=(3,)))
    layer, view = model.cam_layer
    assert isinstance(layer, nn.Module)
    assert (layer, view) == (model.statistics.stages[2], "native")
    by_place = ProbeNet(ProbeConfig(mean=(1,), deviation=(), cells=(5,)))
    assert by_place.cam_layer[0] is by_place.statistics.stages[4]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (ProbeConfig(mean=(8,)), "stages 1 to 7; got mean 8"),
        (ProbeConfig(cells=(8,)), "stages 1 to 7; got cells 8"),
        (ProbeConfig(mean=(), deviation=()), "got none"),
        (ProbeConfig(backbone="resnet18"), "resnet18 is no EfficientNet"),
    ],
)
def test_what_cannot_be_is_refused(config: ProbeConfig, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ProbeNet(config)


def test_moments_are_those_of_each_channel() -> None:
    torch.manual_seed(0)
    seen = torch.randn(3, 5, 40, dtype=torch.float64) * 7 + 100
    mean, deviation = moments(seen)
    torch.testing.assert_close(mean, torch.from_numpy(np.mean(seen.numpy(), axis=2)))
    torch.testing.assert_close(deviation, torch.from_numpy(np.std(seen.numpy(), axis=2)))
