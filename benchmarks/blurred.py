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
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from record import Record, arguments
from torch import nn

from unmask.apps.cli.indices import pairs
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.data.scoring import Change, ScoringSet, scored_picture
from unmask.faces.quality import central_luma, sharpness
from unmask.inference.settings import packaged_models
from unmask.metrics.calibration import sigmoid
from unmask.models.checkpoint import Card, load_checkpoint
from unmask.models.efficientnet_lite import fold_norms
from unmask.training.module import score_sets
from unmask.transforms.perturb import gaussian_blur
from unmask.transforms.preprocess import to_views

WIDTHS: dict[str, tuple[int | None, ...]] = {
    "val": (None, 200, 150, 120, 100, 80, 60, 45),
    "test": (200, 150, 120, 100),
}
"""The blur's sigma is the crop's side by these; None is no blur."""
FAKES = {"val": 600, "test": 250}
"""Drawn of all families."""
BINS = (0, 0.15, 0.2, 0.25, 0.3, 0.35, 0.45, np.inf)
MARGIN = 1.3
"""Of a crop around its face."""


class Seen(NamedTuple):
    """Of pictures, each once for every width: (N,) each."""

    sharpness: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    sources: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> dict[str, int]:
        """How many there are, and how many of them are flagged."""
        return {"pictures": int(chosen.sum()), "flagged": int(self.flagged[chosen].sum())}


def look(
    model: nn.Module, card: Card, crops: Crops, chosen: Sequence[int], widths: Sequence[int | None]
) -> Seen:
    """Pictures blurred, laundered and judged."""
    assert card.decision is not None
    sharp: list[float] = []
    logits = []
    sources = [crops.items[index].source for index in chosen]
    for width in widths:
        pictures = [scored_picture(crops, index, blur(width)) for index in chosen]
        sharp += [sharpness(central_luma(one, one.shape[0] / MARGIN)) for one in pictures]
        views = [to_views(picture, card.input) for picture in pictures]
        item = ScoringSet("blurred", views, 0, sources, sources)
        logits.append(score_sets(model, [item], card.input)["blurred"][0])
    flagged = sigmoid(np.concatenate(logits)) >= card.decision.flag
    return Seen(np.array(sharp), flagged, np.array(sources * len(widths)))


def blur(width: int | None) -> Change:
    """By the crop's side over `width`; none for None."""
    if width is None:
        return lambda image, points, rng: image
    return lambda image, points, rng: gaussian_blur(image, image.shape[0] / width)


def of_split(model: nn.Module, card: Card, crops: Crops, split: str) -> dict[str, Any]:
    """Reals and fakes by sharpness, and how many of them are flagged."""
    widths = WIDTHS[split]
    real, fake = (
        crops.where(lambda item, label=label: item.split == split and item.label == label)  # type: ignore[misc]  # a default that binds
        for label in (0, 1)
    )
    some = np.random.default_rng(0).choice(fake, min(FAKES[split], len(fake)), replace=False)
    reals = look(model, card, crops, real, widths)
    fakes = look(model, card, crops, sorted(some.tolist()), widths)
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
    parser.add_argument("index", type=Path)
    parser.add_argument("--fakes", action="append", default=[], metavar="GENERATOR=INDEX")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="its cache has the crops")
    args = parser.parse_args()
    record = Record(seed=0)
    fakes = {name: Path(path) for name, path in pairs("--fakes", args.fakes)}
    crops = prepare_crops(read_items_with(args.index, fakes), args.runs / "cache")
    model, card = load_checkpoint(packaged_models()["unmask-default"])
    fold_norms(model)  # as in a scan
    splits = {split: of_split(model, card, crops, split) for split in WIDTHS}
    record.write(args.out, {"weights_sha256": card.weights_sha256, "splits": splits})


if __name__ == "__main__":
    main()
