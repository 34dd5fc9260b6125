"""The 8x8 block DCT of the frequency stream: high-pass by zeroing low coefficients.

The transform is the orthonormal DCT-II of every 8x8 block (the AIRL paper, eq. 1). Written as one
vector of 64 values per block, forward transform, mask and inverse are 64x64 matrices, so that each
of the three outputs is a single matrix product: T = D (x) D, with D the 8-point DCT-II.

Everything runs in float32 also under autocast: in bfloat16 the error on 0-255 luma exceeds 1 grey
level, which is more than the traces that are looked for.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unmask.errors import ConfigError, ShapeError
from unmask.types import FloatArray, UInt8Image

BLOCK = 8
LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in BT.601's luma."""
DctOutput = Literal["coefficients", "residual", "channels"]


def dct_matrix(size: int = BLOCK, dtype: torch.dtype = torch.float64) -> Tensor:
    """Orthonormal DCT-II matrix D, (size, size): `D @ x` transforms a column, D D^T = I.

    D[u, x] = c(u) cos((2x + 1) u pi / (2 size)), c(0) = sqrt(1/size), else sqrt(2/size).

    >>> d = dct_matrix()
    >>> torch.allclose(d @ d.T, torch.eye(8, dtype=d.dtype))
    True
    """
    u = torch.arange(size, dtype=torch.float64)[:, None]
    x = torch.arange(size, dtype=torch.float64)[None, :]
    matrix = torch.cos((2 * x + 1) * u * math.pi / (2 * size)) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.to(dtype)


def top_left_off(cutoff: int) -> Tensor:
    """(8, 8) bool mask that zeroes the low-frequency corner u < cutoff and v < cutoff.

    The paper's high-pass is `cutoff=4`: 48 of 64 coefficients stay. Row = vertical frequency u.

    Raises:
        ConfigError: `cutoff` is not in 0..8.

    >>> int(top_left_off(4).sum())
    48
    """
    if not 0 <= cutoff <= BLOCK:
        raise ConfigError(f"The DCT cutoff must be in 0..{BLOCK}; got {cutoff}.")
    keep = torch.ones(BLOCK, BLOCK, dtype=torch.bool)
    keep[:cutoff, :cutoff] = False
    return keep


def luma(rgb: Tensor) -> Tensor:
    """BT.601 luma of RGB, the Y of JPEG: (N, 3, H, W) -> (N, 1, H, W), same range."""
    if rgb.ndim != 4 or rgb.shape[1] != 3:
        raise ShapeError(f"luma needs (N, 3, H, W) RGB; got {tuple(rgb.shape)}.")
    weights = rgb.new_tensor(LUMA).view(1, 3, 1, 1)
    return (rgb * weights).sum(1, keepdim=True)


def pad_to_blocks(gray: Tensor, phase: tuple[int, int] = (0, 0)) -> Tensor:
    """Pad so that blocks tile the picture, by repeating the border pixels.

    Repetition adds no energy inside a constant border block and works for any size, which
    mirroring does not (it needs more pixels than it adds).

    Args:
        gray: (N, C, H, W), any H, W >= 1.
        phase: (x, y) in 0..7, where the first whole block starts; the pixels left of and above it
            are completed to a block of their own.

    Returns:
        (N, C, H', W') with H', W' multiples of 8; the input begins at
        `((8 - y) % 8, (8 - x) % 8)`.
    """
    if gray.ndim != 4 or 0 in gray.shape[2:]:
        raise ShapeError(f"pad_to_blocks needs (N, C, H, W) with H, W > 0; got {tuple(gray.shape)}")
    if not all(0 <= p < BLOCK for p in phase):
        raise ShapeError(f"A grid phase is (x, y) in 0..7; got {phase}.")
    left, top = (-phase[0]) % BLOCK, (-phase[1]) % BLOCK
    right = (-(gray.shape[3] + left)) % BLOCK
    bottom = (-(gray.shape[2] + top)) % BLOCK
    if not (left or top or right or bottom):
        return gray
    return F.pad(gray, (left, right, top, bottom), mode="replicate")


def _to_blocks(gray: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, H/8, W/8, 64), each block row by row."""
    n, channels, height, width = gray.shape
    if channels != 1 or height % BLOCK or width % BLOCK:
        raise ShapeError(
            f"The block DCT needs (N, 1, H, W) with H and W multiples of 8; got "
            f"{tuple(gray.shape)}. Pad first: pad_to_blocks."
        )
    blocks = gray.view(n, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return blocks.permute(0, 1, 3, 2, 4).reshape(n, height // BLOCK, width // BLOCK, BLOCK**2)


def _from_blocks(blocks: Tensor) -> Tensor:
    """Inverse of `_to_blocks`."""
    n, rows, columns, _ = blocks.shape
    grid = blocks.view(n, rows, columns, BLOCK, BLOCK).permute(0, 1, 3, 2, 4)
    return grid.reshape(n, 1, rows * BLOCK, columns * BLOCK)


class BlockDCT(nn.Module):
    """High-pass view of a luma picture through the 8x8 block DCT.

    Args:
        output: `coefficients`: each block replaced by its masked coefficients, in place (H x W);
            `residual`: masked coefficients transformed back to pixels (H x W);
            `channels`: one channel per kept coefficient (K x H/8 x W/8).
        keep: (8, 8) bool, True where a coefficient stays; default `top_left_off(4)`.

    Shape:
        (N, 1, H, W) in [0, 255], any H and W -> as above, float32. Pictures that are no multiple
        of 8, or whose grid starts elsewhere, are padded by `pad_to_blocks`; `residual` is cut back
        to the input's size, the other two keep the padded size.

    Raises:
        ShapeError: the input is not (N, 1, H, W).
        ConfigError: unknown `output`, or a mask that is not (8, 8) bool or keeps nothing.

    >>> flat = torch.full((1, 1, 16, 16), 200.0)
    >>> bool(BlockDCT("residual")(flat).abs().max() < 1e-3)
    True
    """

    matrix: Tensor

    def __init__(self, output: DctOutput = "residual", keep: Tensor | None = None) -> None:
        super().__init__()
        if output not in get_args(DctOutput):
            raise ConfigError(f"DCT output must be one of {get_args(DctOutput)}; got {output!r}.")
        keep = top_left_off(4) if keep is None else keep
        if keep.shape != (BLOCK, BLOCK) or keep.dtype != torch.bool or not keep.any():
            raise ConfigError(
                f"The DCT mask must be (8, 8) bool with a True in it; got {keep.shape}."
            )
        self.output = output
        basis = torch.kron(dct_matrix(), dct_matrix())  # (64, 64): row-major block -> coefficients
        mask = keep.flatten()
        if output == "residual":
            matrix = basis.T @ torch.diag(mask.to(basis.dtype)) @ basis
        elif output == "coefficients":
            matrix = torch.diag(mask.to(basis.dtype)) @ basis
        else:
            matrix = basis[mask]
        self.register_buffer("matrix", matrix.T.float().contiguous(), persistent=False)

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return self.matrix.shape[1] if self.output == "channels" else 1

    def forward(self, gray: Tensor, phase: tuple[int, int] = (0, 0)) -> Tensor:
        with torch.autocast(device_type=gray.device.type, enabled=False):
            padded = pad_to_blocks(gray.float(), phase)
            transformed = _to_blocks(padded) @ self.matrix
            if self.output == "channels":
                return transformed.permute(0, 3, 1, 2).contiguous()
            image = _from_blocks(transformed)
        if self.output == "residual":
            top, left = (-phase[1]) % BLOCK, (-phase[0]) % BLOCK
            return image[..., top : top + gray.shape[2], left : left + gray.shape[3]]
        return image


@cache
def _bands(device: torch.device) -> tuple[Tensor, Tensor]:
    """(64, 64), which gives a row of pixels of a block its coefficients, and (64, 14), which takes
    the mean over each anti-diagonal u + v = 1 .. 14."""
    basis = BlockDCT("channels", torch.ones(BLOCK, BLOCK, dtype=torch.bool)).matrix
    index = torch.arange(BLOCK)
    diagonal = (index[:, None] + index[None, :]).flatten()
    member = (diagonal[:, None] == torch.arange(1, 2 * BLOCK - 1)).float()
    return basis.to(device), (member / member.sum(0)).to(device)


def band_energy(gray: Tensor) -> Tensor:
    """Mean DCT energy of each anti-diagonal u + v = 1 .. 14: (N, 1, H, W) -> (N, 14) float32.

    In squared grey levels per coefficient, over all 8x8 blocks; padding blocks are cut off, not
    counted, so H and W must be at least 8.
    """
    height, width = gray.shape[2] // BLOCK * BLOCK, gray.shape[3] // BLOCK * BLOCK
    if not height or not width:
        raise ShapeError(f"band_energy needs at least 8 x 8 pixels; got {tuple(gray.shape)}.")
    basis, diagonals = _bands(gray.device)
    with torch.autocast(device_type=gray.device.type, enabled=False):
        whole = gray[..., :height, :width].float().contiguous()
        return (_to_blocks(whole) @ basis).square().mean(dim=(1, 2)) @ diagonals


def log_band_energy(native: Tensor) -> Tensor:
    """log10 of `band_energy` of the luma: (N, 3, H, W) RGB in [0, 255] -> (N, 14) float32.

    Energies below 0.001 squared grey levels count as 0.001.
    """
    planes = native.float().contiguous()  # adding colours up is slow where they alternate
    return torch.log10(band_energy(luma(planes)).clamp_min(1e-3))


def log_bands(image: UInt8Image) -> FloatArray:
    """`log_band_energy` of one picture: (H, W, 3) uint8 RGB, H, W >= 8 -> (14,) float32."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    return np.asarray(log_band_energy(pixels)[0].numpy(), np.float32)
