"""The test items as networks see them, made once under every condition and kept on disk."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.data.crops import Crops
from unmask.data.processes import end_with_parent
from unmask.evaluation.conditions import CLEAN, rendered
from unmask.transforms.preprocess import InputSpec, Views, to_views


@dataclass(frozen=True)
class Batch:
    """Items of one condition, and where their views begin in the condition's arrays."""

    condition: str
    items: NDArray[np.intp]


@dataclass(frozen=True)
class ViewStore:
    """Views of numbered items under conditions, as arrays on disk.

    Args:
        folder: where they are kept; may be deleted, and is then made anew.
        batches: what is scored: a condition, and its items in ascending order.
        places: (n,) the index of every item in the crops.
        seed: of the comparison.
    """

    folder: Path
    batches: tuple[Batch, ...]
    places: NDArray[np.intp]
    seed: int = 0

    def make(self, load: Callable[[], Crops], specs: Sequence[InputSpec], *, jobs: int = 1) -> None:
        """Make what is not there yet, for all networks at once.

        Args:
            load: gives the crops of the test items, in every process.
            specs: input contracts of the networks.
            jobs: processes.
        """
        unique = {view_key(spec): spec for spec in specs}
        todo = [
            (batch, [s for key, s in unique.items() if not self._done(batch, key).is_file()])
            for batch in self.batches
        ]
        todo = [(batch, missing) for batch, missing in todo if missing]
        if not todo:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if jobs == 1:
            crops = load()
            for batch, missing in todo:
                self.write(crops, batch, missing)
            return
        with ProcessPoolExecutor(
            jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(load,)
        ) as pool:
            for done in [pool.submit(_write, self, *work) for work in todo]:
                done.result()

    def write(self, crops: Crops, batch: Batch, specs: Sequence[InputSpec]) -> None:
        """Make the views of one condition for several networks."""
        arrays: dict[str, dict[str, list[NDArray[np.uint8]]]] = {view_key(s): {} for s in specs}
        for item in batch.items.tolist():
            place = int(self.places[item])
            image = rendered(
                batch.condition,
                crops.image(place),
                crops.landmarks[place],
                item,
                seed=self.seed,
            )
            for spec in specs:
                for name, view in to_views(image, spec).items():
                    arrays[view_key(spec)].setdefault(name, []).append(view)
        for key, views in arrays.items():
            for name, pictures in views.items():
                np.save(self._file(batch, key, name), np.stack(pictures))
            self._done(batch, key).write_text(json.dumps(sorted(views)), "utf-8")

    def views(self, batch: Batch, spec: InputSpec, size: int) -> Iterator[list[Views]]:
        """The views of one condition in its items' order, `size` at a time; `make` them before."""
        key = view_key(spec)
        names = json.loads(self._done(batch, key).read_text("utf-8"))
        arrays = {n: np.load(self._file(batch, key, n), mmap_mode="r") for n in names}
        for start in range(0, len(batch.items), size):
            stop = min(start + size, len(batch.items))
            yield [Views({n: arrays[n][i] for n in names}) for i in range(start, stop)]

    def _file(self, batch: Batch, key: str, name: str) -> Path:
        parts = [batch.condition, batch.items.tolist(), self.seed]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
        return self.folder / f"{batch.condition.replace('/', '-')}-{digest}-{key}-{name}.npy"

    def _done(self, batch: Batch, key: str) -> Path:
        return self._file(batch, key, "views").with_suffix(".json")


_crops: list[Crops] = []
"""What a process of `ViewStore.make` works on."""


def _begin(load: Callable[[], Crops]) -> None:
    cv2.setNumThreads(1)
    threading.Thread(target=end_with_parent, daemon=True).start()
    _crops.append(load())


def _write(store: ViewStore, batch: Batch, specs: Sequence[InputSpec]) -> None:
    store.write(_crops[0], batch, specs)


def view_key(spec: InputSpec) -> str:
    """Hash of what decides a network's views; how they are normalised does not."""
    text = spec.model_dump_json(include={"native_size", "native_limit", "rgb_size"})
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def clean(batches: Sequence[Batch]) -> Batch:
    """The batch of the condition `clean`."""
    return next(batch for batch in batches if batch.condition == CLEAN)
