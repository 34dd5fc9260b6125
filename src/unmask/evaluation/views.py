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
from typing import Any

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from unmask.data.crops import Crops
from unmask.data.processes import end_with_parent
from unmask.evaluation.comparison.layout import CLEAN
from unmask.evaluation.conditions import rendered
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
        """Make the views of one condition for several networks.

        Pictures go to the disk as they come, for those of a data set fit no memory.
        """
        arrays: dict[tuple[str, str], np.memmap[Any, np.dtype[np.uint8]]] = {}
        for place, item in enumerate(batch.items.tolist()):
            crop = int(self.places[item])
            image = rendered(
                batch.condition,
                crops.image(crop),
                crops.landmarks[crop],
                item,
                seed=self.seed,
            )
            for spec in specs:
                key = view_key(spec)
                for name, view in to_views(image, spec).items():
                    if place == 0:
                        arrays[key, name] = open_memmap(
                            _part(self._file(batch, key, name)),
                            mode="w+",
                            dtype=np.uint8,
                            shape=(len(batch.items), *view.shape),
                        )
                    arrays[key, name][place] = view
        names: dict[str, list[str]] = {view_key(spec): [] for spec in specs}
        for key, name in sorted(arrays):
            arrays.pop((key, name)).flush()  # closed: an open file cannot be renamed everywhere
            path = self._file(batch, key, name)
            _part(path).replace(path)
            names[key].append(name)
        for key, made in names.items():
            self._done(batch, key).write_text(json.dumps(made), "utf-8")

    def views(
        self, batch: Batch, spec: InputSpec, size: int, only: NDArray[np.intp] | None = None
    ) -> Iterator[list[Views]]:
        """The views of one condition in its items' order, `size` at a time; `make` them before.

        Args:
            batch: one of the store's.
            spec: what they were made for.
            size: pictures at a time.
            only: places in the batch, ascending; all when None.
        """
        key = view_key(spec)
        names = json.loads(self._done(batch, key).read_text("utf-8"))
        arrays = {n: np.load(self._file(batch, key, n), mmap_mode="r") for n in names}
        places = np.arange(len(batch.items)) if only is None else only
        for start in range(0, len(places), size):
            chosen = places[start : start + size].tolist()
            yield [Views({n: arrays[n][i] for n in names}) for i in chosen]

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


def _part(path: Path) -> Path:
    """What a file is called until it is whole."""
    return path.with_name(f"{path.name}.part")


def view_key(spec: InputSpec) -> str:
    """Hash of what decides a network's views; how they are normalised does not."""
    text = spec.model_dump_json(include={"native_size", "native_limit", "rgb_size"})
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def clean(batches: Sequence[Batch]) -> Batch:
    """The batch of the condition `clean`."""
    return next(batch for batch in batches if batch.condition == CLEAN)
