"""Re-synthesis: a real face rebuilt by a small learned decoder, so that only the trace differs.

Four convolutional autoencoders (4x reduction, 24 latent channels) differ in how their decoders
upsample. They were trained on the permissive part of the data only (London Set, Congress), against
a patch discriminator that sees the high-pass residual, so that what they rebuild is not soft:
`tools/train_autoencoders.py` repeats it. At use, decoder weights are jittered, so that no two
forgeries carry quite the same trace.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn

from unmask.synthesis.blend import Mask, composite
from unmask.synthesis.packaged import with_weights
from unmask.synthesis.shape import Points
from unmask.synthesis.upsample import region_alpha
from unmask.types import UInt8Image, check_rgb

KINDS = ("transposed", "nearest", "bilinear", "shuffle")
REDUCTION = 4
LATENT = 24


class Upsample2(nn.Module):
    """Doubles a map's size in one of the ways of `KINDS`, with a learned convolution."""

    def __init__(self, kind: str, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "transposed":
            self.conv: nn.Module = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        elif kind == "shuffle":
            self.conv = nn.Conv2d(inputs, 4 * outputs, 3, 1, 1)
        else:
            self.conv = nn.Conv2d(inputs, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "nearest":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        elif self.kind == "bilinear":
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = self.conv(x)
        return F.pixel_shuffle(x, 2) if self.kind == "shuffle" else x


class Autoencoder(nn.Module):
    """(N, 3, H, W) RGB in [0, 1], H and W multiples of 4 -> the same, rebuilt and unclipped."""

    def __init__(self, kind: str, width: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(2 * width, 2 * width, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(2 * width, LATENT, 3, 1, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(LATENT, 2 * width, 3, 1, 1),
            nn.LeakyReLU(0.1),
            Upsample2(kind, 2 * width, 2 * width),
            nn.LeakyReLU(0.1),
            Upsample2(kind, 2 * width, width),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, 3, 3, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.decoder(self.encoder(x * 2 - 1)) + 0.5)


@cache
def pretrained(kind: str) -> Autoencoder:
    """The packaged autoencoder of one kind, in eval mode."""
    return with_weights(Autoencoder(kind), kind)


def _jittered(model: Autoencoder, amount: float, rng: Generator) -> dict[str, Tensor]:
    """The decoder's weights with relative Gaussian deviations."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return {
        name: p * (1 + amount * torch.randn(p.shape, generator=generator))
        for name, p in model.decoder.named_parameters()
    }


@torch.inference_mode()
def rebuild_learned(face: UInt8Image, kind: str, rng: Generator) -> UInt8Image:
    """Pass a picture through one autoencoder, at a random scale, and bring it back to its size."""
    height, width = face.shape[:2]
    scale = float(rng.choice([1.0, 1.0, 0.75, 1.25, 1.5]))
    size = [max(REDUCTION * 4, round(s * scale / REDUCTION) * REDUCTION) for s in (width, height)]
    scaled = cv2.resize(face, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    model = pretrained(kind)
    batch = torch.from_numpy(scaled).permute(2, 0, 1)[None].float() / 255
    latent = model.encoder(batch * 2 - 1)
    weights = _jittered(model, float(rng.uniform(0, 0.03)), rng)
    out = torch.func.functional_call(model.decoder, weights, (latent,)) + 0.5
    rebuilt = (out[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    kernel = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rebuilt, (width, height), interpolation=kernel))


def resynthesis(
    face: UInt8Image, landmarks: Points, rng: Generator, kind: str | None = None
) -> tuple[UInt8Image, Mask]:
    """Replace the whole picture, or a soft region of it, by its learned re-synthesis.

    Args:
        face: (H, W, 3) uint8 RGB.
        landmarks: (189, 2) x, y in its pixels.
        rng: decides everything that is not given.
        kind: one of `KINDS`; random when None.

    Returns:
        fake: like `face`. mask: (H, W) bool, True where the rebuilt pixels have visible weight.

    Raises:
        ShapeError: bad picture, or landmarks outside it.
    """
    check_rgb(face, "resynthesis' face")
    kind = kind or KINDS[int(rng.integers(len(KINDS)))]
    rebuilt = rebuild_learned(face, kind, rng)
    alpha = region_alpha(face.shape[:2], landmarks, rng, whole=0.6)
    return composite(rebuilt, face, alpha)
