"""What to look at beside a score: heatmap, residual picture and band energies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unmask.models.checkpoint import Decision
from unmask.models.ensemble import Ensemble
from unmask.models.lae import LAE
from unmask.models.rich import RichNet
from unmask.transforms.dct import BlockDCT, log_bands, luma
from unmask.transforms.preprocess import InputSpec, to_tensors, to_views, window_in_crop
from unmask.types import Crop, FloatArray, Frame, UInt8Image


@dataclass(frozen=True, slots=True)
class Evidence:
    """One face in one frame, as the model saw it.

    Attributes:
        face_id: the track's id in `Result.faces`.
        frame: the whole frame.
        crop: the face crop that was scored, (S, S, 3).
        score: P(fake) of this crop.
        heatmap: (S, S) float32 in [0, 1], over `crop.image`; 1 where the score hangs most on.
        residual: (S, S) float32, block high-pass residual of the luma in grey levels, signed.
        bands: (14,) float32, log10 of the mean DCT energy of the diagonals u + v = 1 .. 14 of the
            native window.
        reference: (14, 3) float32, the 5th, 50th and 95th percentile of `bands` over the real
            faces the model was calibrated on.
    """

    face_id: int
    frame: Frame
    crop: Crop
    score: float
    heatmap: FloatArray
    residual: FloatArray
    bands: FloatArray
    reference: FloatArray


def _luma_of(image: UInt8Image) -> Tensor:
    return luma(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float())


def residual_picture(image: UInt8Image) -> FloatArray:
    """The frequency stream's view: (H, W) float32 high-pass residual in grey levels."""
    return np.asarray(BlockDCT("residual")(_luma_of(image))[0, 0].numpy(), np.float32)


def grad_cam(model: nn.Module, layer: nn.Module, inputs: dict[str, Tensor]) -> NDArray[np.float32]:
    """Grad-CAM of the fake logit (Selvaraju et al. 2017, eqs. 1 and 2), not yet scaled.

    Args:
        model: in eval mode; called with `inputs`, returns an object with `.logit`.
        layer: its output, (N, C, h, w), is what is weighted.
        inputs: of `to_tensors`.

    Returns:
        (N, h, w) float32 >= 0: ReLU of the channels' sum, each weighted by its mean gradient.
    """
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        if not output.requires_grad:  # of a frozen network
            output.requires_grad_()
        kept.append(output)

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logit = model(**inputs).logit
            (gradient,) = torch.autograd.grad(logit.sum(), kept[0])
    finally:
        handle.remove()
    weights = gradient.float().mean(dim=(2, 3), keepdim=True)
    cam = torch.relu((weights * kept[0].float()).sum(1))
    return np.asarray(cam.detach().cpu().numpy(), np.float32)


def _attribution(
    model: nn.Module, inputs: dict[str, Tensor], spec: InputSpec
) -> tuple[NDArray[np.float32], bool]:
    """A network's map (h, w), not yet scaled, and whether it is of the whole crop."""
    if isinstance(model, Ensemble):
        for speaker in model.speakers(**inputs):
            cam, whole = _attribution(speaker, inputs, spec)
            if cam.any():
                break
        return cam, whole
    if isinstance(model, RichNet):
        return model.attribution(inputs["native"]).cpu().numpy(), False
    if isinstance(model, LAE):
        return model.attribution(inputs["rgb"]).cpu().numpy(), spec.rgb_size is not None
    layer, view = model.cam_layer  # type: ignore[misc]  # every other registry network has one
    return grad_cam(model, layer, inputs)[0], view == "rgb" and spec.rgb_size is not None


def heatmap(model: nn.Module, crop: UInt8Image, spec: InputSpec) -> FloatArray:
    """Where in one crop the fake logit comes from: (S, S) float32 in [0, 1].

    The network's own attribution where it has one (statistics have no feature map; the LAE's
    interpretation map is what its training shapes, and it is laid over the crop as it is
    configured, of both halves or of the fake one), else Grad-CAM.
    Scaled to its own maximum, so it says where, not how much. All zero when nothing in the crop
    speaks for a forgery, and outside the window that the network saw.
    Of an ensemble it is that of the expert that decides, or else of the first part of the sum that
    finds anything that speaks for one.
    """
    side = crop.shape[0]
    device = next(model.parameters()).device
    inputs = {k: v.to(device) for k, v in to_tensors([to_views(crop, spec)], spec).items()}
    cam, whole = _attribution(model, inputs, spec)
    x0, y0, x1, y1 = (0.0, 0.0, side, side) if whole else window_in_crop(side, spec)
    # map cell centres: (i + .5) * (x1 - x0) / w + x0 in the crop
    scale = (x1 - x0) / cam.shape[1], (y1 - y0) / cam.shape[0]
    matrix = np.array(
        [
            [scale[0], 0.0, x0 + 0.5 * scale[0] - 0.5],
            [0.0, scale[1], y0 + 0.5 * scale[1] - 0.5],
        ]
    )
    laid = cv2.warpAffine(
        cam, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    seen = np.zeros((side, side), bool)
    seen[round(y0) : round(y1), round(x0) : round(x1)] = True
    laid[~seen] = 0.0
    peak = float(laid.max())
    return np.asarray(laid / peak if peak > 0 else laid, np.float32)


def explain(
    model: nn.Module,
    spec: InputSpec,
    decision: Decision,
    face_id: int,
    frame: Frame,
    crop: Crop,
    score: float,
) -> Evidence:
    """All the evidence for one scored crop."""
    return Evidence(
        face_id=face_id,
        frame=frame,
        crop=crop,
        score=score,
        heatmap=heatmap(model, crop.image, spec),
        residual=residual_picture(crop.image),
        bands=log_bands(to_views(crop.image, spec)["native"]),
        reference=np.array(decision.bands, np.float32),
    )
