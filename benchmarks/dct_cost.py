"""What the 8x8 block DCT costs beside the forward pass of the whole AIRL-B4 network."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from record import Record, arguments, spread

from unmask.models.registry import model_spec
from unmask.transforms.dct import BlockDCT, luma

GOAL = 0.02
SIZES = ((256, 224), (380, 224), (380, 380))
"""(native side for the DCT, RGB side for EfficientNet-B4): the registry's, and the paper's 380."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args()
    record = Record(seed=0)
    torch.manual_seed(0)
    network = model_spec("airl_b4").create().eval().to(memory_format=torch.channels_last)
    results = {}
    for native, rgb in SIZES:
        results[f"native {native}, rgb {rgb}"] = compare(network, native, rgb, given)
    shares = [r["dct_share_of_forward"]["median"] for r in results.values()]
    record.write(
        given.out,
        {
            "batch": given.batch,
            "dtype": "float32",
            "what": "BlockDCT('residual') with the high-pass mask; luma is the sum before it",
            "sizes": results,
            "goal_share": GOAL,
            "goal_met": max(shares) < GOAL,
        },
    )


@torch.inference_mode()
def compare(network: torch.nn.Module, native: int, rgb: int, given: argparse.Namespace) -> dict:
    """Forward, DCT and DCT with luma in turn, so that a busy machine slows all alike."""
    pixels = torch.randint(0, 256, (given.batch, 3, native, native)).float()
    normalised = torch.randn(given.batch, 3, rgb, rgb).to(memory_format=torch.channels_last)
    gray, dct = luma(pixels), BlockDCT("residual")
    steps: dict[str, Callable[[], object]] = {
        "forward": lambda: network(normalised, pixels),
        "dct": lambda: dct(gray),
        "luma_and_dct": lambda: dct(luma(pixels)),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(given.repeats):
        for name, step in steps.items():
            taken[name].append(seconds(step, 1 if name == "forward" else 10))
    shares = [d / f for d, f in zip(taken["dct"], taken["forward"], strict=True)]
    with_luma = [d / f for d, f in zip(taken["luma_and_dct"], taken["forward"], strict=True)]
    return {
        "milliseconds": {n: spread([1000 * v for v in values]) for n, values in taken.items()},
        "dct_share_of_forward": spread(shares),
        "luma_and_dct_share_of_forward": spread(with_luma),
    }


def seconds(step: Callable[[], object], times: int) -> float:
    """Per call."""
    started = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - started) / times


if __name__ == "__main__":
    main()
