"""Views go to the disk as they are made, and are the bytes that were always there."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from unmask.data.crops import Crops
from unmask.evaluation.conditions import CLEAN, rendered
from unmask.evaluation.views import Batch, ViewStore
from unmask.transforms.preprocess import InputSpec, to_views

SPECS = (InputSpec(native_size=48, rgb_size=40), InputSpec(native_size=64))
SIDES = (80, 96, 70, 120)


@pytest.fixture
def crops() -> Crops:
    """Four noisy squares of different sides, with landmarks in their middle."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (side, side, 3), np.uint8) for side in SIDES]
    marks = np.array([np.full((5, 2), side / 2) for side in SIDES], np.float32)
    made = SimpleNamespace(image=lambda i: images[i], landmarks=marks)
    return cast(Crops, made)


@pytest.fixture
def store(tmp_path: Path) -> ViewStore:
    return ViewStore(tmp_path / "views", (Batch(CLEAN, np.array([0, 1, 2])),), np.array([3, 1, 0]))


def test_the_files_are_those_of_the_stacked_pictures(store: ViewStore, crops: Crops) -> None:
    (batch,) = store.batches
    store.make(lambda: crops, SPECS)
    places = store.places
    pictures = [
        rendered(CLEAN, crops.image(places[i]), crops.landmarks[places[i]], i) for i in range(3)
    ]
    for spec in SPECS:
        read = [view for views in store.views(batch, spec, 2) for view in views]
        for name in read[0]:
            expected = np.stack([to_views(image, spec)[name] for image in pictures])
            np.testing.assert_array_equal([view[name] for view in read], expected)
            whole = io.BytesIO()
            np.save(whole, expected)
            kept = [p.read_bytes() for p in store.folder.glob(f"*-{name}.npy")]
            assert whole.getvalue() in kept
    assert len(list(store.folder.glob("*.npy"))) == 3
    assert not list(store.folder.glob("*.part"))


def test_what_is_not_whole_is_made_anew(
    store: ViewStore, crops: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def stopping(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rendered(*args, **kwargs)

    monkeypatch.setattr("unmask.evaluation.views.rendered", stopping)
    with pytest.raises(KeyboardInterrupt):
        store.make(lambda: crops, SPECS[:1])
    assert {path.suffix for path in store.folder.iterdir()} == {".part"}
    store.make(lambda: crops, SPECS[:1])
    assert len(calls) == 6
    assert {path.suffix for path in store.folder.iterdir()} == {".npy", ".json"}


def test_a_part_of_a_batch(store: ViewStore, crops: Crops) -> None:
    (batch,) = store.batches
    store.make(lambda: crops, SPECS[:1])
    whole = [view for views in store.views(batch, SPECS[0], 2) for view in views]
    part = [view for views in store.views(batch, SPECS[0], 8, np.array([0, 2])) for view in views]
    assert len(part) == 2
    for view, place in zip(part, (0, 2), strict=True):
        np.testing.assert_array_equal(view["native"], whole[place]["native"])
