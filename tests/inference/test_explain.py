"""Evidence: Grad-CAM by hand, heat where the cause is, shapes, and the frequency views."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from scipy.fft import dctn
from torch import Tensor, nn

from unmask.inference.detector import EVIDENCE_PER_FACE, Detector
from unmask.inference.explain import grad_cam, heatmap, residual_picture
from unmask.models.checkpoint import predict
from unmask.models.efficientnet_lite import fold_norms
from unmask.models.lae import LAE, LAEConfig
from unmask.models.registry import MODELS
from unmask.models.rich import RichConfig, RichNet
from unmask.transforms.dct import log_bands
from unmask.transforms.preprocess import InputSpec, to_tensors, to_views, window_in_crop
from unmask.types import UInt8Image


class Output(NamedTuple):
    logit: Tensor


class Linear(nn.Module):
    """logit = sum_c w_c mean(conv_c): its Grad-CAM is ReLU(sum_c w_c conv_c) / (h w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=2, bias=False)
        self.weights = nn.Parameter(torch.randn(5))

    def forward(self, rgb: Tensor, native: Tensor) -> Output:
        return Output(self.conv(native).mean((2, 3)) @ self.weights)


def test_grad_cam_of_a_linear_network_by_hand() -> None:
    torch.manual_seed(0)
    net, native = Linear(), torch.randn(2, 3, 15, 19)
    with torch.inference_mode():
        maps = net.conv(native)
        expected = torch.relu(torch.einsum("c,nchw->nhw", net.weights, maps)) / maps[0, 0].numel()
    cam = grad_cam(net, net.conv, {"rgb": native, "native": native})
    np.testing.assert_allclose(cam, expected.numpy(), rtol=1e-4, atol=1e-7)
    assert not net.conv._forward_hooks


class Bright(nn.Module):
    """Fires where cells of 8 pixels are bright; takes either stream."""

    def __init__(self, view: str, sign: float = 1.0) -> None:
        super().__init__()
        self.view = view
        self.sign = nn.Parameter(torch.tensor(sign))
        self.map = nn.Sequential(nn.AvgPool2d(8), nn.Threshold(0.6, 0.0))

    @property
    def cam_layer(self) -> tuple[nn.Module, str]:
        return self.map, self.view

    def forward(self, rgb: Tensor, native: Tensor) -> Output:
        pixels = native / 255 if self.view == "native" else rgb
        return Output(self.sign * self.map(pixels * self.sign.abs()).mean((1, 2, 3)))


UNIT = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
NATIVE = InputSpec(native_size=96, native_limit=None, **UNIT)
REDUCED = InputSpec(native_size=96, native_limit=1.25, **UNIT)
RESIZED = InputSpec(native_size=96, rgb_size=128, **UNIT)


def spot(side: int, x: float, y: float, radius: int) -> UInt8Image:
    image = np.full((side, side, 3), 20, np.uint8)
    image[round(y) - radius : round(y) + radius, round(x) - radius : round(x) + radius] = 255
    return image


@pytest.mark.parametrize(
    ("spec", "view", "side"),
    [
        (NATIVE, "native", 96),
        (NATIVE, "native", 171),
        (NATIVE, "rgb", 171),
        (NATIVE, "native", 70),
        (REDUCED, "native", 300),
        (RESIZED, "rgb", 300),
        (RESIZED, "rgb", 80),
    ],
)
@pytest.mark.parametrize("place", [(0.15, 0.2), (0.8, 0.3), (0.5, 0.85)])
def test_the_heat_lies_where_the_cause_is(
    spec: InputSpec, view: str, side: int, place: tuple[float, float]
) -> None:
    whole = spec.rgb_size is not None and view == "rgb"
    x0, y0, x1, y1 = (0.0, 0.0, side, side) if whole else window_in_crop(side, spec)
    right, bottom = min(x1, side), min(y1, side)
    x, y = x0 + place[0] * (right - x0), y0 + place[1] * (bottom - y0)
    cell = 8 * (x1 - x0) / (spec.rgb_size if whole else spec.native_size)  # type: ignore[operator]
    crop = spot(side, x, y, radius=max(9, round(1.3 * cell)))
    heat = heatmap(Bright(view), crop, spec)
    assert heat.shape == (side, side)
    assert heat.dtype == np.float32
    assert heat.max() == 1.0
    assert heat.min() >= 0.0
    rows, columns = np.mgrid[:side, :side] + 0.5
    centre = (heat * columns).sum() / heat.sum(), (heat * rows).sum() / heat.sum()
    assert np.hypot(centre[0] - x, centre[1] - y) < cell


def test_there_is_no_heat_outside_the_window() -> None:
    crop = np.full((200, 200, 3), 255, np.uint8)
    heat = heatmap(Bright("native"), crop, NATIVE)
    x0, y0, x1, y1 = (int(v) for v in window_in_crop(200, NATIVE))
    assert (heat[y0:y1, x0:x1] > 0.99).all()
    heat[y0:y1, x0:x1] = 0
    assert not heat.any()


def test_without_anything_that_speaks_for_a_forgery_there_is_no_heat() -> None:
    crop = spot(96, 40, 40, 15)
    assert not heatmap(Bright("native", sign=-1.0), crop, NATIVE).any()
    assert not heatmap(Bright("native"), np.zeros((96, 96, 3), np.uint8), NATIVE).any()


SMALL = [n for n in MODELS if sum(p in n for p in ("b4", "sbi", "xception", "f3net", "srm")) == 0]
"""The others' heatmaps are made in test_scannable.py, on smaller pictures."""


@pytest.mark.parametrize("name", SMALL)
def test_every_small_network_gives_a_heatmap(name: str) -> None:
    torch.manual_seed(1)
    model = MODELS[name].create().eval()
    crop = np.random.default_rng(0).integers(0, 256, (180, 180, 3), dtype=np.uint8)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    heat = heatmap(model, crop, MODELS[name].input)
    assert heat.shape == (180, 180)
    assert np.isfinite(heat).all()
    assert heat.max() in (0.0, 1.0)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    np.testing.assert_array_equal(heat, heatmap(model, crop, MODELS[name].input))


@pytest.mark.parametrize("name", ["airl_lite0", "probe"])
def test_folding_leaves_heatmap_and_scores(name: str) -> None:
    torch.manual_seed(1)
    model = MODELS[name].create()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after training: nothing is 0 or 1
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    model.eval()
    crop = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    spec = MODELS[name].input
    inputs = to_tensors([to_views(crop, spec)], spec)
    before, seen = heatmap(model, crop, spec), predict(model, inputs)
    fold_norms(model)
    np.testing.assert_allclose(heatmap(model, crop, spec), before, atol=1e-3)
    for value, known in zip(predict(model, inputs), seen, strict=True):
        np.testing.assert_allclose(value, known, rtol=1e-3, atol=1e-4)


def test_rich_statistics_have_their_own_attribution() -> None:
    torch.manual_seed(2)
    model = RichNet(RichConfig(fused=8, projection=4)).eval()
    crop = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    native = torch.from_numpy(crop).permute(2, 0, 1)[None].float()
    expected = model.attribution(native).numpy()
    got = heatmap(model, crop, NATIVE)
    np.testing.assert_allclose(got, expected / expected.max(), atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"map": "fake_half"}, {"map_weight": "signed"}])
@pytest.mark.parametrize("side", [64, 150])
def test_the_lae_shows_its_interpretation_map(side: int, changes: dict[str, Any]) -> None:
    torch.manual_seed(3)
    config = LAEConfig.model_validate({"size": 64, "channels": (4, 8, 8), "latent": 16, **changes})
    spec = InputSpec(rgb_size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    model = LAE(config).eval()
    crop = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    rgb = to_tensors([to_views(crop, spec)], spec)["rgb"]
    with torch.no_grad():
        own = model.encode(rgb).map[0].numpy()  # scaled to its maximum or not, it shows the same
    expected = cv2.resize(own, (side, side), interpolation=cv2.INTER_LINEAR)
    got = heatmap(model, crop, spec)
    assert got.max() == 1.0
    assert got.min() < 0.9
    # warpAffine rounds its positions to 1/32 of a cell
    np.testing.assert_allclose(got, expected / expected.max(), atol=0.04)


def test_the_residual_picture_is_the_block_high_pass() -> None:
    image = np.random.default_rng(2).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    gray = image.astype(float) @ [0.299, 0.587, 0.114]
    residual = residual_picture(image)
    assert residual.shape == (16, 24)
    block = dctn(gray[8:, 8:16], norm="ortho")
    got = dctn(residual[8:, 8:16].astype(float), norm="ortho")
    np.testing.assert_allclose(got[:4, :4], 0, atol=1e-3)
    np.testing.assert_allclose(got[4:], block[4:], atol=1e-2)
    np.testing.assert_allclose(got[:, 4:], block[:, 4:], atol=1e-2)


def test_evidence_shows_the_telling_frames(detector: Detector, parts: Any) -> None:
    scores = [0.2, 0.9, 0.3, 0.8, 0.7]
    images = [
        parts.picture([parts.level_of(s), parts.level_of(0.1)], seed=i)
        for i, s in enumerate(scores)
    ]
    item = parts.clip(images)
    (examined,) = detector.examine([item], evidence=True)
    first = [e for e in examined.evidence if e.face_id == 0]
    assert len(first) == EVIDENCE_PER_FACE == 3
    assert len(examined.evidence) == 6
    assert [round(e.score, 1) for e in first] == [0.9, 0.8, 0.7]  # in order of time
    assert [e.frame.index for e in first] == [10, 30, 40]
    by_index = {frame.index: frame for frame in item.frames}
    for evidence in examined.evidence:
        side = evidence.crop.image.shape[0]
        assert evidence.frame is by_index[evidence.crop.frame_index]
        assert evidence.heatmap.shape == evidence.residual.shape == (side, side)
        assert evidence.bands.shape == (14,)
        assert evidence.reference.shape == (14, 3)
        x0, y0, x1, y1 = (int(v) for v in window_in_crop(side, parts.spec))
        window = evidence.crop.image[y0:y1, x0:x1]
        np.testing.assert_array_equal(evidence.bands, log_bands(window))
    (without,) = detector.examine([item])
    assert without.evidence == ()
    assert without.result.score == examined.result.score


def test_a_failure_has_no_evidence(detector: Detector, parts: Any) -> None:
    (examined,) = detector.examine([parts.still(parts.picture([]))], evidence=True)
    assert examined.evidence == ()


def test_bands_of_a_flat_picture_have_a_floor() -> None:
    np.testing.assert_allclose(log_bands(np.full((20, 20, 3), 77, np.uint8)), -3.0, atol=1e-6)
