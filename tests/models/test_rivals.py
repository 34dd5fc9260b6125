"""What each rival computes, against scipy, torch's own functions, and its paper's figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import save_file
from scipy.fft import dctn, idctn
from scipy.signal import correlate2d
from torch import nn

from unmask.errors import CheckpointError, ShapeError
from unmask.models.cross_attention import CrossAttention
from unmask.models.f3net import (
    FLOOR,
    F3Net,
    F3NetConfig,
    FrequencyAwareDecomposition,
    LocalFrequencyStatistics,
)
from unmask.models.mesonet import Inception, MesoNet, MesoNetConfig
from unmask.models.residual import resampling_residual
from unmask.models.rich import RichConfig, RichNet
from unmask.models.srm import CosineHead, SRMFeatures, SRMResidual, srm_kernels
from unmask.models.xception import XceptionStages


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def weights_of(name: str, path: Path) -> nn.Module:
    """timm's network in eval mode, its weights saved under `path`."""
    torch.manual_seed(0)
    net: nn.Module = timm.create_model(name).eval()
    save_file(net.state_dict(), path)
    return net


@pytest.mark.parametrize(
    ("inception", "parameters", "channels"), [(False, 27_977, [8, 8]), (True, 28_615, [11, 12])]
)
def test_mesonet_has_exactly_the_papers_parameters_and_maps(
    inception: bool, parameters: int, channels: list[int]
) -> None:
    model = MesoNet(MesoNetConfig(inception=inception)).eval()
    assert count(model) == parameters
    x, shapes = torch.rand(1, 3, 256, 256), []
    for stage in model.maps:
        x = stage(x)
        shapes.append((x.shape[1], x.shape[2]))
    assert shapes == [(channels[0], 128), (channels[1], 64), (16, 32), (16, 8)]
    with pytest.raises(ShapeError, match="256x256"):
        model(torch.rand(1, 3, 224, 224), x)


@pytest.mark.parametrize("inception", [False, True])
@pytest.mark.parametrize("size", [32, 64, 96])
def test_mesonet_of_another_side_differs_in_its_first_dense_layer_alone(
    inception: bool, size: int
) -> None:
    model = MesoNet(MesoNetConfig(inception=inception, size=size)).eval()
    usual = MesoNet(MesoNetConfig(inception=inception))
    shapes = {name: p.shape for name, p in model.named_parameters()}
    differ = {name for name, p in usual.named_parameters() if shapes[name] != p.shape}
    assert differ == {"dense.1.weight"}
    assert shapes["dense.1.weight"] == (16, 16 * (size // 32) ** 2)
    x = torch.rand(2, 3, size, size)
    assert model(x, x).logit.shape == (2,)
    with pytest.raises(ShapeError, match=f"takes {size}x{size} pixels; got "):
        model(torch.rand(1, 3, size + 32, size + 32), x)


@pytest.mark.parametrize("size", [16, 100, 0])
def test_mesonet_of_a_side_that_does_not_divide_is_refused(size: int) -> None:
    with pytest.raises(ValidationError, match="size"):
        MesoNetConfig(size=size)


def test_inception_branches_look_1_1_2_and_3_pixels_far() -> None:
    torch.manual_seed(0)
    block = Inception(2, (1, 2, 2, 1)).double()
    for p in block.parameters():
        nn.init.uniform_(p, 0.1, 1.0)  # positive, so that no ReLU hides a place
    reach = []
    for channel in (0, 1, 3, 5):
        x = torch.rand(1, 2, 15, 15, dtype=torch.float64, requires_grad=True)
        block(x)[0, channel, 7, 7].backward()
        assert x.grad is not None
        rows = x.grad[0].abs().sum((0, 2)).nonzero().flatten().tolist()
        reach.append(rows)
    assert reach == [[7], [6, 7, 8], [5, 7, 9], [4, 7, 10]]


def test_stages_are_xception_cut_in_parts(tmp_path: Path) -> None:
    net = weights_of("legacy_xception", tmp_path / "x.safetensors")
    stages = XceptionStages(weights=tmp_path / "x.safetensors").eval()
    x = torch.randn(2, 3, 107, 107)
    with torch.inference_mode():
        expected = net.forward_features(x)  # type: ignore[operator]
        for part in ("low", "stem", "entry", "middle", "late", "exit"):
            x = getattr(stages, part)(x)
    torch.testing.assert_close(x, expected)
    assert count(stages) == count(net) - 2048 * 1000 - 1000


def test_more_channels_keep_the_response_to_copies_of_the_picture(tmp_path: Path) -> None:
    weights_of("legacy_xception", tmp_path / "x.safetensors")
    plain = XceptionStages(weights=tmp_path / "x.safetensors").eval()
    wide = XceptionStages(12, weights=tmp_path / "x.safetensors").eval()
    x = torch.randn(1, 3, 65, 65)
    with torch.inference_mode():
        torch.testing.assert_close(wide.low(x.repeat(1, 4, 1, 1)), plain.low(x))
    foreign = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(32, 3, 3, 3)}, foreign)
    with pytest.raises(CheckpointError, match="does not fit the backbone"):
        XceptionStages(12, weights=foreign)


def test_decomposition_is_a_filtered_dct_of_the_whole_picture() -> None:
    torch.manual_seed(0)
    fad, x = FrequencyAwareDecomposition(64), torch.randn(2, 3, 64, 64)
    filters = (fad.base + 2 * torch.sigmoid(fad.weight) - 1).detach().double().numpy()
    spectrum = dctn(x.double().numpy(), axes=(2, 3), norm="ortho")
    expected = [idctn(spectrum * f, axes=(2, 3), norm="ortho") for f in filters]
    got = fad(x).detach().numpy()
    np.testing.assert_allclose(got, np.concatenate(expected, axis=1), atol=1e-4)


def test_fixed_bands_part_the_spectrum_as_in_the_paper() -> None:
    fad, x = FrequencyAwareDecomposition(299), torch.randn(1, 3, 299, 299)
    nn.init.zeros_(fad.weight)
    low, middle, high, whole = fad(x).detach().split(3, dim=1)
    torch.testing.assert_close(whole, x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(low + middle + high, x, atol=1e-4, rtol=1e-4)
    shares = fad.base[:3].mean((1, 2)).tolist()
    assert shares == pytest.approx([1 / 16, 1 / 16, 7 / 8], abs=3e-3)
    with pytest.raises(ShapeError, match="299x299"):
        fad(torch.zeros(1, 3, 256, 256))


def test_local_statistics_are_band_sums_of_window_dcts() -> None:
    torch.manual_seed(0)
    lfs, x = LocalFrequencyStatistics(), torch.rand(1, 3, 61, 61) * 2 - 1
    filters = (lfs.base + 2 * torch.sigmoid(lfs.weight) - 1).detach().double().numpy()
    got = lfs(x).detach().numpy()
    assert got.shape == (1, 6, 30, 30)
    grey = np.einsum("chw,c->hw", x[0].double().numpy(), [0.299, 0.587, 0.114])
    padded = np.pad((grey + 1) * 127.5, 4, mode="edge")
    for row, column in ((0, 0), (13, 7), (29, 29)):
        window = padded[2 * row : 2 * row + 10, 2 * column : 2 * column + 10]
        strengths = np.abs(filters * dctn(window, norm="ortho")).sum((1, 2))
        np.testing.assert_allclose(got[0, :, row, column], np.log10(strengths + FLOOR), atol=1e-3)
    assert LocalFrequencyStatistics()(torch.zeros(1, 3, 299, 299)).shape[2:] == (149, 149)
    order = torch.arange(10)[:, None] + torch.arange(10)
    assert (lfs.base.sum(0) == 1).all()
    assert [int(order[b > 0].min()) for b in lfs.base] == [0, 4, 7, 10, 13, 16]


@pytest.mark.parametrize(
    "view", [FrequencyAwareDecomposition(64), LocalFrequencyStatistics(), SRMResidual()]
)
def test_traces_are_taken_in_float32_also_under_autocast(view: nn.Module) -> None:
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = view(x)
    assert fast.dtype == torch.float32
    assert torch.equal(fast, view(x))


def test_f3net_streams_can_stand_alone() -> None:
    kinds = {
        streams: set(F3Net(F3NetConfig(streams=streams, size=64)).streams)
        for streams in ("both", "fad", "lfs")
    }
    assert kinds == {"both": {"fad", "lfs"}, "fad": {"fad"}, "lfs": {"lfs"}}


def test_cross_attention_is_scaled_dot_product_attention_both_ways() -> None:
    torch.manual_seed(0)
    block = CrossAttention(16, reduction=4)
    x, y = torch.randn(2, 16, 3, 5), torch.randn(2, 16, 3, 5)
    rows = [m.flatten(2).mT for m in (x, y)]
    keys = [r @ c.weight[:, :, 0, 0].T for r, c in zip(rows, block.keys, strict=True)]
    values = [r @ c.weight[:, :, 0, 0].T for r, c in zip(rows, block.values, strict=True)]
    to_x = F.scaled_dot_product_attention(keys[0], keys[1], values[1])
    to_y = F.scaled_dot_product_attention(keys[1], keys[0], values[0])
    got_x, got_y = block(x, y)
    torch.testing.assert_close(got_x, x + 0.1 * to_x.mT.view_as(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got_y, y + 0.1 * to_y.mT.view_as(y), atol=1e-5, rtol=1e-5)


def test_srm_residuals_are_truncated_correlations() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, (3, 20, 24))
    got = SRMResidual()(torch.from_numpy(x).float()[None])[0].numpy()
    expected = [correlate2d(x.sum(0), k, mode="same") for k in srm_kernels().double().numpy()]
    np.testing.assert_allclose(got, np.clip(expected, -3, 3), atol=1e-4)
    assert (np.abs(got) == 3).any()
    assert srm_kernels().sum((1, 2)).abs().max() < 1e-6
    ramp = torch.arange(24.0).expand(1, 3, 20, 24)
    assert SRMResidual()(ramp)[..., 2:-2, 2:-2].abs().max() < 1e-4


def test_srm_of_maps_takes_each_map_by_itself() -> None:
    block = SRMFeatures(4)
    seen: list[torch.Tensor] = []
    block.point.register_forward_hook(lambda _module, given, _output: seen.append(given[0]))
    x = torch.randn(1, 4, 9, 9)
    block(x)
    for channel in range(4):
        for i, kernel in enumerate(srm_kernels().double().numpy()):
            expected = correlate2d(x[0, channel].double().numpy(), kernel, mode="same").clip(-3, 3)
            np.testing.assert_allclose(seen[0][0, 3 * channel + i], expected, atol=1e-4)


def test_cosine_head_is_a_two_class_softmax_of_cosines() -> None:
    torch.manual_seed(0)
    head, x = CosineHead(8, 30.0), torch.randn(5, 8)
    cosines = torch.stack([F.cosine_similarity(x, c[None], dim=1) for c in head.classes], dim=1)
    expected = torch.softmax(30 * cosines, dim=1)[:, 1]
    torch.testing.assert_close(torch.sigmoid(head(x).logit), expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(head(7 * x).logit, head(x).logit)


def test_resampling_residual_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0, 5.0], [3.0, 7.0, 5.0], [9.0, 9.0, 9.0]])[None, None]
    assert resampling_residual(x)[0, 0].tolist() == [[0.0, 1.0], [2.0, 6.0]]
    doubled = torch.randn(2, 3, 8, 8).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert not resampling_residual(doubled).any()


def test_the_linear_rich_classifier_is_linear() -> None:
    torch.manual_seed(0)
    net = RichNet(RichConfig(fused=None, dropout=0.0)).eval()
    statistics = torch.randn(3, net.statistics.size)
    net.standardise_to(torch.full_like(net.mean, 0.5), torch.full_like(net.scale, 2.0))
    standard = (statistics - 0.5) / 2
    output = net.head(statistics)
    expected = standard @ net.logit.weight[0] + net.logit.bias
    torch.testing.assert_close(output.logit, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(output.embedding, F.normalize(standard, dim=1))
    assert count(net) == net.statistics.size + 1


def test_scores_of_several_kinds_say_what_their_mean_odds_do() -> None:
    torch.manual_seed(0)
    net = RichNet(RichConfig(fused=None, dropout=0.0, kinds=3)).eval()
    statistics = torch.randn(4, net.statistics.size)
    scores = (statistics @ net.logit.weight.T + net.logit.bias).detach().double()
    odds = net.head(statistics).logit.double().exp()
    torch.testing.assert_close(odds, scores.exp().mean(dim=1), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        net.logit.weight[1:] = net.logit.weight[0]
        net.logit.bias[:] = 100.0  # no odds that a float32 holds
    plain = statistics @ net.logit.weight[0] + 100.0
    torch.testing.assert_close(net.head(statistics).logit, plain, atol=1e-4, rtol=1e-4)
