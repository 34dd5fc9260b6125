"""MTCNN: a cascade of three small networks that finds faces and five landmarks in each.

Source: K. Zhang, Z. Zhang, Z. Li, Y. Qiao, "Joint Face Detection and Alignment Using Multitask
Cascaded Convolutional Networks", IEEE Signal Processing Letters 23(10), 2016. The layer sizes are
those of the trained networks that `tools/convert_mtcnn.py` converts; its docstring says what the
conversion changes. Every network takes RGB scaled by (x - 127.5) / 128.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import resources
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from unmask.errors import CheckpointError
from unmask.faces import boxes as bx
from unmask.types import FloatArray, UInt8Image, check_rgb

CELL = 12
"""Receptive field of the proposal network: the smallest face it sees, in pixels of a level."""
STRIDE = 2
PYRAMID_FACTOR = 0.709
"""Step between pyramid levels, about sqrt(1/2): the area halves (the original's value)."""
MAX_CANDIDATES = 400
"""Per stage. Portraits need under 100; the bound keeps noise and crowds from costing seconds."""


class Detections(NamedTuple):
    """What the cascade found in one picture, best first.

    Attributes:
        boxes: (N, 4) float64 xyxy in continuous pixels; may reach beyond the picture.
        scores: (N,) float64 in [0, 1].
        landmarks: (N, 5, 2) float32 x, y: left eye, right eye (as seen), nose, mouth corners.
    """

    boxes: bx.Boxes
    scores: NDArray[np.float64]
    landmarks: FloatArray


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel), nn.PReLU(outputs))


def _pool(kernel: int) -> nn.MaxPool2d:
    # ceil_mode: a last, partial window counts too, as in the Caffe original
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


class ProposalNet(nn.Sequential):
    """P-Net, fully convolutional: (N, 3, H, W) -> (N, 5, h, w): face logit, then box offsets."""

    def __init__(self) -> None:
        super().__init__(
            _conv(3, 10, 3), _pool(2), _conv(10, 16, 3), _conv(16, 32, 3), nn.Conv2d(32, 5, 1)
        )


class RefineNet(nn.Sequential):
    """R-Net: (N, 3, 24, 24) -> (N, 5): face logit, then box offsets."""

    size = 24

    def __init__(self) -> None:
        super().__init__(
            *(_conv(3, 28, 3), _pool(3), _conv(28, 48, 3), _pool(3), _conv(48, 64, 2)),
            *(nn.Flatten(), nn.Linear(576, 128), nn.PReLU(128), nn.Linear(128, 5)),
        )


class OutputNet(nn.Sequential):
    """O-Net: (N, 3, 48, 48) -> (N, 15): face logit, box offsets, five x, five y."""

    size = 48

    def __init__(self) -> None:
        super().__init__(
            *(_conv(3, 32, 3), _pool(3), _conv(32, 64, 3), _pool(3), _conv(64, 64, 3), _pool(2)),
            *(_conv(64, 128, 2), nn.Flatten()),
            *(nn.Linear(1152, 256), nn.PReLU(256), nn.Linear(256, 15)),
        )


Compiler = Callable[[RefineNet | OutputNet], Callable[[Tensor], Tensor]]
"""What turns a network into something that says the same of (N, 3, size, size) in less time."""


class MTCNN(nn.Module):
    """The three networks and the search that joins them.

    Args:
        thresholds: the face probability a candidate needs to pass each stage.
    """

    def __init__(self, thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)) -> None:
        super().__init__()
        self.thresholds = thresholds
        self.proposal = ProposalNet()
        self.refine = RefineNet()
        self.output = OutputNet()
        self._faster: dict[nn.Module, Callable[[Tensor], Tensor]] = {}

    @classmethod
    def pretrained(
        cls, thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7), device: str = "cpu"
    ) -> MTCNN:
        """The networks with the packaged weights, in evaluation mode.

        Raises:
            CheckpointError: the packaged weights are missing or damaged.
        """
        path = resources.files("unmask.faces") / "weights" / "mtcnn.safetensors"
        net = cls(thresholds)
        try:
            net.load_state_dict(load(path.read_bytes()))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(
                f"The face detector's weights, {path}, cannot be loaded: {error}",
                "Install the package again, or rebuild the file with tools/convert_mtcnn.py.",
            ) from error
        return net.requires_grad_(False).eval().to(device)

    def compile_judges(self, compiler: Compiler) -> None:
        """From now on, run R-Net and O-Net, which take most of the time, as `compiler` does.

        Boxes and landmarks move by rounding: by less than a thousandth of a pixel.
        """
        self._faster = {net: compiler(net) for net in (self.refine, self.output)}

    @torch.inference_mode()
    def detect(self, image: UInt8Image, min_face: float) -> Detections:
        """Find all faces of at least about `min_face` pixels.

        Args:
            image: (H, W, 3) uint8 RGB.
            min_face: at least 12; time grows with (side / min_face) squared.
        """
        check_rgb(image, "image")
        return self._output(image, self._refine(image, self._propose(image, min_face)))

    def _propose(self, image: UInt8Image, min_face: float) -> bx.Boxes:
        found = [np.zeros((0, 9))]
        sources = [image, image]
        for size in pyramid(image.shape[0], image.shape[1], min_face):
            # from two levels up: half the side, so the average stays local and the work small
            level = cv2.resize(sources.pop(0), size, interpolation=cv2.INTER_AREA)
            sources.append(level)
            maps = self.proposal(self._tensor(level[None]))[0].cpu().numpy()
            rows = self._cells(maps, (image.shape[1] / size[0], image.shape[0] / size[1]))
            found.append(rows[bx.suppress(rows[:, :4], rows[:, 4], 0.5)])
        rows = np.concatenate(found)
        rows = rows[bx.suppress(rows[:, :4], rows[:, 4], 0.7)][:MAX_CANDIDATES]
        return bx.regressed(rows[:, :4], rows[:, 5:])

    def _cells(self, maps: FloatArray, scale: tuple[float, float]) -> NDArray[np.float64]:
        """P-Net's (5, h, w) -> rows (box, score, offsets), best first, in pixels of the picture."""
        odds = math.log(self.thresholds[0] / (1 - self.thresholds[0]))
        y, x = np.nonzero(maps[0] >= odds)
        picked = maps[:, y, x].T.astype(np.float64)
        picked[:, 0] = _sigmoid(picked[:, 0])
        corner = np.stack([x, y], axis=1) * float(STRIDE)
        boxes = np.concatenate([corner, corner + CELL], axis=1) * np.tile(scale, 2)
        rows = np.concatenate([boxes, picked], axis=1)
        return rows[np.argsort(-rows[:, 4], kind="stable")][: 4 * MAX_CANDIDATES]

    def _refine(self, image: UInt8Image, boxes: bx.Boxes) -> bx.Boxes:
        boxes = _inside(bx.squared(boxes), image)
        raw = self._judge(self.refine, patches(image, boxes, RefineNet.size), 5)
        scores = _sigmoid(raw[:, 0])
        passed = np.flatnonzero(scores > self.thresholds[1])
        passed = passed[bx.suppress(boxes[passed], scores[passed], 0.7)]
        return bx.regressed(boxes[passed], raw[passed, 1:])

    def _output(self, image: UInt8Image, boxes: bx.Boxes) -> Detections:
        boxes = _inside(bx.squared(boxes), image)
        raw = self._judge(self.output, patches(image, boxes, OutputNet.size), 15)
        scores = _sigmoid(raw[:, 0])
        passed = np.flatnonzero(scores > self.thresholds[2])
        boxes, scores, raw = boxes[passed], scores[passed], raw[passed]
        relative = np.stack([raw[:, 5:10], raw[:, 10:15]], axis=2)
        points = boxes[:, None, :2] + relative * (boxes[:, None, 2:] - boxes[:, None, :2])
        boxes = bx.regressed(boxes, raw[:, 1:5])
        kept = bx.suppress(boxes, scores, 0.7, over="smaller")
        return Detections(boxes[kept], scores[kept], points[kept].astype(np.float32))

    def _judge(self, net: nn.Module, batch: UInt8Image, width: int) -> NDArray[np.float64]:
        if not len(batch):
            return np.zeros((0, width))
        judge = self._faster.get(net, net)
        raw: NDArray[np.float64] = judge(self._tensor(batch)).double().cpu().numpy()
        return raw

    def _tensor(self, batch: UInt8Image) -> Tensor:
        """(N, H, W, 3) uint8 -> (N, 3, H, W) float32, about [-1, 1], on the networks' device."""
        device = next(self.parameters()).device
        pixels = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
        return pixels.float().sub_(127.5).mul_(1 / 128)


def pyramid(height: int, width: int, min_face: float) -> list[tuple[int, int]]:
    """Sizes (width, height) to look at: the first shows a `min_face` face as 12 pixels.

    >>> pyramid(100, 200, 24.0)
    [(100, 50), (71, 35), (50, 25), (36, 18), (25, 13)]
    """
    scale = CELL / min_face
    sizes: list[tuple[int, int]] = []
    while min(height, width) * scale >= CELL:
        sizes.append((round(width * scale), round(height * scale)))
        scale *= PYRAMID_FACTOR
    return sizes


def patches(image: UInt8Image, boxes: bx.Boxes, size: int) -> UInt8Image:
    """Cut each box out of `image` and resize it: (N, 4) boxes -> (N, size, size, 3) uint8.

    Where a box reaches beyond the picture its patch is black there, as in the networks' training.
    """
    height, width = image.shape[:2]
    out = np.zeros((len(boxes), size, size, 3), np.uint8)
    for patch, (x0, y0, x1, y1) in zip(out, np.rint(boxes).astype(int).tolist(), strict=True):
        left, top, right, bottom = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        cut = image[top:bottom, left:right]
        if (left, top, right, bottom) != (x0, y0, x1, y1):
            edges = (top - y0, y1 - bottom, left - x0, x1 - right)
            cut = cv2.copyMakeBorder(cut, *edges, cv2.BORDER_CONSTANT)
        patch[...] = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
    return out


def _inside(boxes: bx.Boxes, image: UInt8Image) -> bx.Boxes:
    """The boxes that show at least one pixel of the picture and are at least two pixels wide."""
    high = np.minimum(boxes[:, 2:], image.shape[1::-1])
    low = np.maximum(boxes[:, :2], 0)
    return boxes[((high - low) >= 2.0).all(axis=1)]


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float64)
