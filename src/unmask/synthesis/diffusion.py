"""Diffusion: a real face noised and denoised again by a small diffusion model.

What diffusion models leave behind comes from their last steps, which turn a nearly finished picture
with a little noise into one with none. Those steps can be taken from a real face: its finest detail
drowns in the noise and is drawn anew by the network, and all else stays (SDEdit: Meng et al. 2022,
"Guided image synthesis and editing with stochastic differential equations"). The network works on
the picture's 2x2 sub-images, as FFDNet does (Zhang et al. 2018, "FFDNet: toward a fast and flexible
solution for CNN-based image denoising"), and is told the noise level. It was trained on the
permissive part of the data only (London Set, Congress): `tools/train_denoiser.py` repeats it.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Final, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn

from unmask.synthesis.blend import Mask, composite
from unmask.synthesis.packaged import with_weights
from unmask.synthesis.shape import Points
from unmask.synthesis.subject import drawn_kind
from unmask.synthesis.upsample import region_alpha
from unmask.types import UInt8Image, check_rgb

DIFFUSION_KINDS: Final = ("deterministic", "stochastic")
SIGMAS: Final = (2.0, 40.0)
"""Grey levels of noise that the network was trained with."""
STARTS: Final = (8.0, 32.0)
"""Grey levels of noise that a face is given."""
_LONGEST: Final = 512
"""Faces with a longer side are denoised at this one."""
_MULTIPLE: Final = 4


class Block(nn.Module):
    """x + conv(relu(conv(x))), 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.second(F.relu(self.first(x))))


class Denoiser(nn.Module):
    """Predicts the noise in a picture, at half and quarter resolution.

    Args:
        width: channels at half resolution; twice as many at a quarter.

    Shape:
        noisy (N, 3, H, W), RGB in [-1, 1] plus noise, H and W multiples of 4, and sigma (N,), its
        deviation on that scale -> (N, 3, H, W), the noise over sigma.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.head = nn.Conv2d(13, width, 3, 1, 1)
        self.before = Block(width)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.middle = nn.Sequential(Block(2 * width), Block(2 * width))
        self.up = nn.Conv2d(2 * width, width, 3, 1, 1)
        self.after = Block(width)
        self.tail = nn.Conv2d(width, 12, 3, 1, 1)

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        height, width = noisy.shape[2] // 2, noisy.shape[3] // 2
        level = (sigma.view(-1, 1, 1, 1) * 4).expand(-1, 1, height, width)
        x = self.before(self.head(torch.cat([F.pixel_unshuffle(noisy, 2), level], 1)))
        y = F.interpolate(self.middle(self.down(x)), scale_factor=2.0, mode="nearest")
        return F.pixel_shuffle(self.tail(self.after(x + self.up(y))), 2)


@cache
def pretrained() -> Denoiser:
    """The packaged network, in eval mode."""
    return with_weights(Denoiser(), "denoiser")


@torch.inference_mode()
def noised_and_denoised(
    face: UInt8Image, start: float, steps: int, rng: Generator, *, stochastic: bool = False
) -> UInt8Image:
    """Add noise to a picture and let the diffusion model take it away, step by step.

    From x with noise sigma the network's estimate of the clean picture is c = x - sigma e; the next
    x is c + sigma' e with the same e (the probability flow of Song et al. 2021, "Denoising
    diffusion implicit models"), or with half of its power drawn anew.

    Args:
        face: (H, W, 3) uint8 RGB.
        start: deviation of the first noise in grey levels, within `SIGMAS`.
        steps: until there is none; sigma falls geometrically, then to 0.
        rng: draws the noise.
        stochastic: draw noise anew at every step.
    """
    model = pretrained()
    height, width = face.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    size = [max(16, round(s * scale / _MULTIPLE) * _MULTIPLE) for s in (width, height)]
    kernel = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = (
        face if (width, height) == tuple(size) else cv2.resize(face, size, interpolation=kernel)
    )
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    x = torch.tensor(resized).permute(2, 0, 1)[None].float() / 127.5 - 1
    first, last = start / 127.5, SIGMAS[0] / 127.5
    levels = [*np.geomspace(first, min(first, last), steps).tolist(), 0.0]
    x = x + first * torch.randn(x.shape, generator=generator)
    for sigma, following in pairwise(levels):
        noise = model(x, torch.tensor([sigma]))
        clean = x - sigma * noise
        if stochastic and following:
            fresh = torch.randn(x.shape, generator=generator)
            noise = (noise + fresh) * 0.5**0.5
        x = clean + following * noise
    out = ((x[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    if out.shape[:2] != (height, width):
        out = np.asarray(cv2.resize(out, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.ascontiguousarray(out)


def diffusion(
    face: UInt8Image, landmarks: Points, rng: Generator, kind: str | None = None
) -> tuple[UInt8Image, Mask]:
    """Replace the whole picture, or a soft region of it, by what a diffusion model makes of it.

    Args:
        face: (H, W, 3) uint8 RGB.
        landmarks: (189, 2) x, y in its pixels.
        rng: decides everything that is not given.
        kind: one of `DIFFUSION_KINDS`; random when None.

    Returns:
        fake: like `face`. mask: (H, W) bool, True where the new pixels have visible weight.

    Raises:
        ShapeError: bad picture, or landmarks outside it.
        ConfigError: unknown `kind`.
    """
    check_rgb(face, "diffusion's face")
    kind = drawn_kind(kind, DIFFUSION_KINDS, "diffusion", rng)
    start = float(np.exp(rng.uniform(*np.log(STARTS))))
    steps = int(rng.integers(2, 6))
    made = noised_and_denoised(face, start, steps, rng, stochastic=kind == "stochastic")
    alpha = region_alpha(face.shape[:2], landmarks, rng, whole=0.7)
    return composite(made, face, alpha)
