"""A detector made of stand-ins: pictures say which faces they hold, brightness is the logit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unmask.inference.detector import Detector
from unmask.inference.settings import Settings
from unmask.media import Media
from unmask.models.checkpoint import Card, Decision
from unmask.results import InputInfo
from unmask.transforms.preprocess import InputSpec
from unmask.types import Face, Frame, UInt8Image

SPEC = InputSpec(native_size=96, native_limit=None)
BOXES = [(30.0, 30.0, 130.0, 130.0), (230.0, 30.0, 330.0, 130.0)]
BROKEN = 99


class Output(NamedTuple):
    logit: Tensor
    embedding: Tensor


class Brightness(nn.Module):
    """logit = 20 x (mean of the native window / 255 - 0.5); NaN for a white window."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(20.0))
        self.map = nn.AvgPool2d(8)

    @property
    def cam_layer(self) -> tuple[nn.Module, str]:
        return self.map, "native"

    def forward(self, rgb: Tensor, native: Tensor) -> Output:
        level = self.map(native * self.gain / 20).mean((1, 2, 3)) / 255
        if (native.mean((1, 2, 3)) > 250).any():
            raise RuntimeError("a white face broke the network")
        logit = (level - 0.5) * 20
        return Output(torch.where(native.amax((1, 2, 3)) < 1, torch.nan, logit), rgb[:, :, 0, 0])


class Announced:
    """Finds as many faces as the picture's outermost pixels say."""

    def detect(self, image: UInt8Image) -> list[Face]:
        code = int(image[0, 0, 0])
        if code == BROKEN:
            raise RuntimeError("the face detector broke")
        points = np.array([[-20, -15], [20, -15], [0, 5], [-15, 25], [15, 25]], np.float32)
        return [
            Face(box, points + np.array(box[:2], np.float32) + 50, 0.9999)
            for box in (BOXES[:code] if code <= len(BOXES) else [])
        ]


def decision(**changes: object) -> Decision:
    values: dict[str, object] = {
        "slope": 0.5,
        "bias": 0.1,
        "flag": 0.8,
        "clear": 0.3,
        "fpr_at_flag": 0.01,
        "ci95": (0.0, 0.05),
        "measured_on": "100 made-up reals",
        "domain": "made-up pictures",
        "bands": [(0.0, 1.0, 2.0)] * 14,
        "band_limits": [(-9.0, 9.0)] * 14,
    }
    return Decision.model_validate(values | changes)


def picture(levels: Sequence[float], *, code: int | None = None, seed: int = 0) -> UInt8Image:
    """(180, 360, 3): a face of mean brightness `level` in each of the boxes, on grey."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 12, (180, 360, 3))
    image = np.full((180, 360, 3), 128.0)
    for level, (x0, y0, x1, y1) in zip(levels, BOXES, strict=False):
        image[int(y0) - 20 : int(y1) + 20, int(x0) - 20 : int(x1) + 20] = level
    image = np.clip(image + noise, 2, 253)
    pixels = np.rint(image).astype(np.uint8)
    number = len(levels) if code is None else code
    pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:] = (number,) * 4
    return pixels


def level_of(score: float) -> float:
    """Brightness of a face that scores `score`."""
    return 255 * (float(np.log(score / (1 - score))) / 20 + 0.5)


def still(image: UInt8Image, path: str = "a.png") -> Media:
    info = InputInfo(path=path, media="image", width=image.shape[1], height=image.shape[0])
    return Media(info, (Frame(image),))


def clip(images: Sequence[UInt8Image], path: str = "a.mp4", **known: object) -> Media:
    frames = tuple(Frame(image, index=10 * i, time=i / 2) for i, image in enumerate(images))
    return Media(InputInfo(path=path, media="video"), frames, **known)  # type: ignore[arg-type]


@pytest.fixture
def make() -> Callable[..., Detector]:
    """Builds a detector; keyword arguments change its decision."""

    def build(settings: Settings | None = None, **changes: object) -> Detector:
        card = Card(
            name="stand-in",
            architecture="airl_small",
            config={},
            input=SPEC,
            weights_sha256="00",
            decision=decision(**changes),
        )
        return Detector(Brightness(), card, settings=settings, face_detector=Announced())

    return build


@pytest.fixture
def detector(make: Callable[..., Detector]) -> Detector:
    return make()


class Parts(NamedTuple):
    """The stand-ins, for tests that put their own detector together."""

    picture: Callable[..., UInt8Image]
    level_of: Callable[[float], float]
    still: Callable[..., Media]
    clip: Callable[..., Media]
    decision: Callable[..., Decision]
    finder: type[Announced]
    broken: int = BROKEN
    spec: InputSpec = SPEC


@pytest.fixture(scope="session")
def parts() -> Parts:
    return Parts(picture, level_of, still, clip, decision, Announced)
