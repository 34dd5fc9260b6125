"""How many blurred faces the default model flags, by the sharpness that is left.

    python benchmarks/blurred.py forged/index.parquet --fakes stylegan=INDEX.csv \
        --runs runs --out benchmarks/results/blurred.json

Crops of both splits, blurred by several widths and laundered as every scored picture is; a picture
counts once for every width. What is `blurry` and what `too_blurry` (`unmask.faces.quality`) was
chosen on the validation split.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from judged import Judge, add_options
from numpy.typing import NDArray
from record import Record, arguments

from unmask.data.crops import MARGIN
from unmask.data.scoring import Change, unchanged
from unmask.faces.quality import central_luma, sharpness
from unmask.transforms.perturb import gaussian_blur

WIDTHS: dict[str, tuple[int | None, ...]] = {
    "val": (None, 200, 150, 120, 100, 80, 60, 45),
    "test": (200, 150, 120, 100),
}
"""The blur's sigma is the crop's side by these; None is no blur."""
FAKES = {"val": 600, "test": 250}
"""Drawn of all families."""
BINS = (0, 0.15, 0.2, 0.25, 0.3, 0.35, 0.45, np.inf)


class Seen(NamedTuple):
    """Of pictures, each once for every width: (N,) each."""

    sharpness: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    sources: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> dict[str, int]:
        """How many there are, and how many of them are flagged."""
        return {"pictures": int(chosen.sum()), "flagged": int(self.flagged[chosen].sum())}


def look(judge: Judge, chosen: Sequence[int], widths: Sequence[int | None]) -> Seen:
    """Pictures blurred, laundered and judged."""
    sharp: list[float] = []
    flagged = []
    for width in widths:
        pictures, logits = judge.look(chosen, blur(width))
        sharp += [sharpness(central_luma(one, one.shape[0] / MARGIN)) for one in pictures]
        flagged.append(judge.flagged(logits))
    sources = judge.sources(chosen)
    return Seen(np.array(sharp), np.concatenate(flagged), np.array(sources * len(widths)))


def blur(width: int | None) -> Change:
    """By the crop's side over `width`; none for None."""
    if width is None:
        return unchanged
    return lambda image, points, rng: gaussian_blur(image, image.shape[0] / width)


def of_split(judge: Judge, split: str) -> dict[str, Any]:
    """Reals and fakes by sharpness, and how many of them are flagged."""
    widths = WIDTHS[split]
    real, fake = (
        judge.crops.where(lambda item, label=label: item.split == split and item.label == label)  # type: ignore[misc]  # a default that binds
        for label in (0, 1)
    )
    some = np.random.default_rng(0).choice(fake, min(FAKES[split], len(fake)), replace=False)
    reals = look(judge, real, widths)
    fakes = look(judge, sorted(some.tolist()), widths)
    rows = []
    for low, high in pairwise(BINS):
        of_reals, of_fakes = (
            (low <= one.sharpness) & (one.sharpness < high) for one in (reals, fakes)
        )
        rows.append(
            {
                "sharpness": [low, None if np.isinf(high) else high],
                "reals": reals.where(of_reals),
                "by_source": {
                    source: reals.where(of_reals & (reals.sources == source))
                    for source in sorted(set(reals.sources.tolist()))
                },
                "fakes": fakes.where(of_fakes),
            }
        )
    return {"blur": [f"1/{width} of the side" if width else "none" for width in widths],
            "rows": rows}  # fmt: skip


def main() -> None:
    parser = arguments(__doc__.split("\n")[0])
    add_options(parser)
    args = parser.parse_args()
    record = Record(seed=0)
    judge = Judge.of(args)
    splits = {split: of_split(judge, split) for split in WIDTHS}
    record.write(args.out, {"weights_sha256": judge.card.weights_sha256, "splits": splits})


if __name__ == "__main__":
    main()
