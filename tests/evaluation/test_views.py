"""The view store: what it hands out is what one would make picture by picture, made once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import Item
from unmask.evaluation import views as module
from unmask.evaluation.conditions import rendered
from unmask.evaluation.views import Batch, ViewStore, clean, view_key
from unmask.transforms.preprocess import InputSpec, to_views

NATIVE = InputSpec(native_size=48, native_limit=None)
BOTH = InputSpec(native_size=32, rgb_size=40)
SIDES = (60, 72, 64, 90, 48)
PLACES = np.array([4, 0, 3, 2], np.intp)
BATCHES = (
    Batch("clean", np.array([0, 1, 2, 3])),
    Batch("control/blurred", np.array([1, 3])),
    Batch("sweep/jpeg/3", np.array([2])),
)


def load(where: str) -> Crops:
    """Five squares of noise."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in SIDES]
    sides = np.array(SIDES)
    return Crops(
        items=[Item(Path(where) / f"{i}.png", 0, "s", "", str(i), "test") for i in range(5)],
        landmarks=np.stack([np.full((5, 2), side / 2, np.float32) for side in SIDES]),
        dropped={},
        key="test",
        _pixels=np.concatenate([image.ravel() for image in images]),
        _starts=np.concatenate([[0], np.cumsum(3 * sides**2)[:-1]]),
        _sides=sides,
    )


def store(folder: Path, **changes: Any) -> ViewStore:
    return ViewStore(**{"folder": folder, "batches": BATCHES, "places": PLACES, **changes})


def all_views(made: ViewStore, batch: Batch, spec: InputSpec, size: int = 3) -> list[Any]:
    return [views for part in made.views(batch, spec, size) for views in part]


def test_views_are_those_of_the_rendered_pictures(tmp_path: Path) -> None:
    made, crops = store(tmp_path / "v", seed=3), load(".")
    made.make(lambda: crops, [NATIVE, BOTH])
    for batch in BATCHES:
        for spec in (NATIVE, BOTH):
            found = all_views(made, batch, spec)
            assert len(found) == len(batch.items)
            for item, views in zip(batch.items.tolist(), found, strict=True):
                place = PLACES[item]
                image = rendered(
                    batch.condition, crops.image(place), crops.landmarks[place], item, seed=3
                )
                expected = to_views(image, spec)
                assert views.keys() == expected.keys()
                for name, view in expected.items():
                    np.testing.assert_array_equal(views[name], view)


@pytest.mark.parametrize(("size", "parts"), [(1, [1, 1, 1, 1]), (3, [3, 1]), (9, [4])])
def test_views_come_in_parts(tmp_path: Path, size: int, parts: list[int]) -> None:
    made = store(tmp_path / "v")
    made.make(partial(load, "."), [NATIVE])
    assert [len(part) for part in made.views(BATCHES[0], NATIVE, size)] == parts


def test_what_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path / "v").make(partial(load, "."), [NATIVE])
    calls: list[str] = []

    def counted(condition: str, *given: Any, **more: Any) -> Any:
        calls.append(condition)
        return rendered(condition, *given, **more)

    monkeypatch.setattr(module, "rendered", counted)
    normalised = NATIVE.model_copy(update={"mean": (0.1, 0.1, 0.1)})
    store(tmp_path / "v").make(lambda: pytest.fail("loaded the crops"), [NATIVE, normalised])
    assert calls == []
    more = (*BATCHES, Batch("blur+jpeg", np.array([0, 2])))
    store(tmp_path / "v", batches=more).make(partial(load, "."), [NATIVE])
    assert calls == ["blur+jpeg"] * 2
    store(tmp_path / "v").make(partial(load, "."), [NATIVE, BOTH])
    assert calls[2:] == ["clean"] * 4 + ["control/blurred"] * 2 + ["sweep/jpeg/3"]


def test_other_items_or_seeds_have_views_of_their_own(tmp_path: Path) -> None:
    one, other = store(tmp_path / "v"), store(tmp_path / "v", seed=1)
    part = store(tmp_path / "v", batches=(Batch("clean", np.array([1, 2])),))
    for made in (one, other, part):
        made.make(partial(load, "."), [NATIVE])
    first = all_views(one, BATCHES[0], NATIVE)
    second = all_views(other, BATCHES[0], NATIVE)
    assert any((a["native"] != b["native"]).any() for a, b in zip(first, second, strict=True))
    for a, b in zip(first[1:3], all_views(part, part.batches[0], NATIVE), strict=True):
        np.testing.assert_array_equal(a["native"], b["native"])


def test_several_processes_make_what_one_makes(tmp_path: Path) -> None:
    crops, items = load(str(tmp_path)), []
    for index, item in enumerate(crops.items):
        cv2.imwrite(str(item.path), crops.image(index))
        five = tuple(crops.landmarks[index].ravel().tolist())
        items.append(replace(item, box=(0, 0, SIDES[index], SIDES[index]), landmarks=five))
    given = partial(prepare_crops, items, tmp_path / "cache")
    assert len(given()) == len(SIDES)
    store(tmp_path / "one").make(given, [NATIVE, BOTH])
    store(tmp_path / "two").make(given, [NATIVE, BOTH], jobs=2)
    files = {p.name: p.read_bytes() for p in (tmp_path / "one").iterdir()}
    assert len(files) == 3 * (1 + 2 + 2)
    assert {p.name: p.read_bytes() for p in (tmp_path / "two").iterdir()} == files


def test_the_key_is_of_what_decides_views() -> None:
    spec = InputSpec()
    assert view_key(spec) == view_key(spec.model_copy(update={"std": (1.0, 1.0, 1.0)}))
    changes: list[dict[str, object]] = [
        {"native_size": 64}, {"native_limit": None}, {"rgb_size": 96}
    ]  # fmt: skip
    keys = {view_key(spec.model_copy(update=change)) for change in changes}
    assert len(keys | {view_key(spec)}) == 4


def test_the_clean_batch_is_found() -> None:
    assert clean(BATCHES[::-1]) is BATCHES[0]
