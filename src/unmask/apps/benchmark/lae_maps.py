"""What the maps of an LAE are worth on the test pictures, one by one; and samples to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from unmask.apps.benchmark.material import Material
from unmask.data.annotation.masks import Mask
from unmask.data.atomic import replacing
from unmask.data.protocols.resolve import Resolved
from unmask.errors import DatasetError
from unmask.evaluation.views import ViewStore
from unmask.metrics.localization import (
    best_threshold,
    energy_in_mask,
    iou,
    pixel_average_precision,
    pointing_game,
    quietness,
)
from unmask.models.lae import LAE
from unmask.training.lae.data import own_mask_seen, picture_seen, pictures_of
from unmask.training.lae.samples import maps_of, sample_grid, write_picture
from unmask.training.module import evaluating
from unmask.transforms.preprocess import InputSpec, Views, to_tensors

BEFORE = "stage-1"
"""Maps before stage 2 go by this name."""
FIXED = "mean-mask"
"""So does the control: one map for all pictures, the mean of the training masks. What a network's
map has beyond it, it has from the picture."""
MEASURES = ("iou", "pixel_ap", "pointing_game", "energy_in_mask", "energy", "marked")
"""Columns: the first four of fakes with a mask; `energy` of all, the mean of the map as it is;
`marked` of reals, 1 where that map reaches the threshold anywhere."""
Maps = NDArray[np.float32]
MakeMaps = Callable[[Sequence[Views]], tuple[Maps, Maps]]
"""Views of N pictures -> their maps (N, s, s), normalised as configured, and as they are."""
CHUNK = 64
TILE = 88
"""Side of a tile in the samples, in pixels."""


def maps_path(out: Path, arm: str, seed: int) -> Path:
    """OUT/localization/ARM/seed-N.parquet."""
    return out / "localization" / arm / f"seed-{seed}.parquet"


def read_maps(out: Path, arm: str, seed: int) -> pl.DataFrame:
    """What `MapJudge.write` wrote; DatasetError where it is missing or damaged."""
    path = maps_path(out, arm, seed)
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(
            f"{path} cannot be read.", "Delete it and that run's facts, and run again."
        ) from error


def masks_of_tests(
    resolved: Resolved, material: Material, spec: InputSpec
) -> tuple[list[Mask | None], int]:
    """The mask of every test item as the network sees it, and of how many it sees nothing.

    None for reals, and for fakes without one.
    """
    crops = material.test_crops()()
    pictures = {
        path.resolve(): picture
        for index in resolved.tests.values()
        for path, picture in pictures_of(index).items()
    }
    found: list[Mask | None] = []
    lost = 0
    for place in material.places.tolist():
        picture = pictures[crops.items[place].path.resolve()]
        mask = own_mask_seen(crops, place, picture, material.normalise, spec)
        lost += picture.mask is not None and mask is None
        found.append(mask)
    return found, lost


def _maps_of(model: LAE, spec: InputSpec, views: Sequence[Views]) -> tuple[Maps, Maps]:
    rgb = to_tensors(views, spec)["rgb"].to(next(model.parameters()).device)
    return maps_of(model, rgb), maps_of(model, rgb, raw=True)


@dataclass(frozen=True)
class MapJudge:
    """Measures the maps of any network on the same pictures.

    Attributes:
        spec: the networks' input.
        tests, validation: views.
        own: masks of the validation pictures; None without one.
        masks: of the test items.
        real: (n,) bool, of the test items.
    """

    spec: InputSpec
    tests: ViewStore
    validation: ViewStore
    own: Sequence[Mask | None]
    masks: Sequence[Mask | None]
    real: NDArray[np.bool_]

    def write(self, out: Path, arm: str, seed: int, model: LAE) -> None:
        """Measure, and write a row per test item, nulls where a measure does not apply.

        The IoU's threshold, on maps normalised as configured, and the one of `marked`, on maps as
        they are, are those of the best mean IoU on validation fakes; they are kept in the file.
        A file that is there is left.

        Raises:
            DatasetError: no validation fake has a mask.
        """
        path = maps_path(out, arm, seed)
        if path.is_file():
            return
        with evaluating(model):
            self._write(path, arm, seed, partial(_maps_of, model, self.spec))

    def write_fixed(self, out: Path, seed: int, fixed: NDArray[np.float32]) -> None:
        """Of one map (s, s) in [0, 1] for all pictures, under `FIXED`; replaces what is there."""

        def everywhere(views: Sequence[Views]) -> tuple[Maps, Maps]:
            maps = np.repeat(fixed[None], len(views), axis=0)
            return maps, maps

        self._write(maps_path(out, FIXED, seed), FIXED, seed, everywhere)

    def _write(self, path: Path, arm: str, seed: int, make: MakeMaps) -> None:
        threshold, raw = self._thresholds(make)
        table = self._measured(make, threshold, raw)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"arm": arm, "seed": str(seed), "threshold": repr(threshold), "raw": repr(raw)}
        with replacing(path) as part:
            table.write_parquet(part, compression="zstd", metadata=kept)

    def _maps(self, make: MakeMaps, store: ViewStore) -> Iterator[tuple[Maps, Maps]]:
        """Chunks of maps, as configured and raw."""
        for views in store.views(store.batches[0], self.spec, CHUNK):
            yield make(views)

    def _thresholds(self, make: MakeMaps) -> tuple[float, float]:
        able = [i for i, mask in enumerate(self.own) if mask is not None]
        if not able:
            raise DatasetError(
                "No validation fake has a mask, so maps cannot be measured.",
                "Use an index with masks, as `unmask synthesize` writes.",
            )
        masks = np.stack([mask for mask in self.own if mask is not None])
        chunks = zip(*self._maps(make, self.validation), strict=True)
        shown, raw = (np.concatenate(parts)[able] for parts in chunks)
        return best_threshold(shown, masks), best_threshold(raw, masks)

    def _measured(self, make: MakeMaps, threshold: float, raw_threshold: float) -> pl.DataFrame:
        columns = {name: np.full(len(self.masks), np.nan) for name in MEASURES}
        for number, (chunk, plain) in enumerate(self._maps(make, self.tests)):
            items = np.arange(number * CHUNK, number * CHUNK + len(chunk))
            columns["energy"][items] = plain.mean((1, 2))
            reals = self.real[items]
            if reals.any():
                quiet = quietness(plain[reals], raw_threshold)
                columns["marked"][items[reals]] = quiet.exceeds
            given = [self.masks[i] for i in items.tolist()]
            able = np.array([mask is not None for mask in given])
            if able.any():
                maps, masks = chunk[able], np.stack([mask for mask in given if mask is not None])
                columns["iou"][items[able]] = iou(maps, masks, threshold)
                columns["pixel_ap"][items[able]] = pixel_average_precision(maps, masks)
                columns["pointing_game"][items[able]] = pointing_game(maps, masks)
                columns["energy_in_mask"][items[able]] = energy_in_mask(maps, masks)
        share = [np.nan if mask is None else float(mask.mean()) for mask in self.masks]
        table = pl.DataFrame({"item": np.arange(len(share)), "mask_share": share, **columns})
        return table.with_columns(pl.exclude("item").fill_nan(None))

    def pictures(self, items: Sequence[int]) -> NDArray[np.uint8]:
        """(N, s, s, 3) uint8 RGB of some test items, as they are scored."""
        only = np.array(sorted(items), np.intp)
        chunks = self.tests.views(self.tests.batches[0], self.spec, CHUNK, only)
        found = dict(zip(only.tolist(), [picture_seen(v) for c in chunks for v in c], strict=True))
        return np.stack([found[item] for item in items])


def write_samples(
    folder: Path,
    models: Mapping[str, LAE],
    judge: MapJudge,
    unseen: NDArray[np.bool_],
    shown: NDArray[np.bool_],
) -> None:
    """One small JPEG per network, all of the same test items: two seen fakes, two unseen, a real.

    None is written where no item may be shown.

    Args:
        folder: of the files.
        models: name -> network.
        judge: has pictures and masks.
        unseen: (n,) bool, of the test items.
        shown: (n,) bool, which of them may be shown.
    """
    able = np.array([mask is not None for mask in judge.masks]) & shown
    kinds = (able & ~unseen, able & unseen)
    items = [int(i) for kind in kinds for i in _spread(np.flatnonzero(kind), 2)]
    items += [int(i) for i in np.flatnonzero(judge.real & shown)[:1]]
    if not items:
        return
    pictures, masks = judge.pictures(items), [judge.masks[i] for i in items]
    for name, model in models.items():
        grid = sample_grid(model, judge.spec, pictures, masks)
        scale = TILE / pictures.shape[1]
        size = (round(grid.shape[1] * scale), round(grid.shape[0] * scale))
        small = np.asarray(cv2.resize(grid, size, interpolation=cv2.INTER_AREA), np.uint8)
        write_picture(folder / f"{name}.jpg", small, quality=72)


def _spread(numbers: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most `count`, one at every third and two thirds, or as many as there are."""
    if len(numbers) <= count:
        return numbers
    return numbers[[len(numbers) * (k + 1) // (count + 1) for k in range(count)]]
