"""A data set of forgeries: what is in it, that it repeats, and what becomes of bad inputs."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from scipy.ndimage import binary_dilation

from unmask.data.forging import workers
from unmask.data.forging.forgery import Settings, draws, make_settings
from unmask.data.forging.reals import read_reals
from unmask.data.forging.run import synthesize
from unmask.data.index import Index, index_of, read_index
from unmask.errors import ConfigError, DatasetError
from unmask.faces import MTCNNDetector, crop_face, find_faces
from unmask.synthesis.autoencoder_swap import PEOPLE
from unmask.synthesis.families import SPECS, FamilySpec
from unmask.types import Frame

PICTURES = Path(__file__).parents[1]
FAMILIES = ("self_blend", "reupsample-nearest", "face_swap")
# path, label, split, source, identity: three Londoners, of whom one is alone in her split, and a
# portrait, a picture without a face, and one that is not there
ROWS = [
    ("london_006_03.jpg", 0, "train", "london", "london/006"),
    ("london_024_03.jpg", 0, "train", "london", "london/024"),
    ("london_025_08.jpg", 0, "test", "london", "london/025"),
    ("congress_A000055.jpg", 0, "train", "congress", "congress/A000055"),
    ("grass.png", 0, "train", "london", "grass"),
    ("nowhere.png", 0, "train", "london", "nowhere"),
    ("fake.png", 1, "train", "london", "somebody"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of `ROWS`."""
    root = tmp_path_factory.mktemp("reals")
    for name, *_ in ROWS[:4]:
        shutil.copy(PICTURES / name, root / name)
    grass = np.random.default_rng(0).integers(80, 120, (96, 96, 3), np.uint8)
    cv2.imwrite(str(root / "grass.png"), grass)
    return root


def table(folder: Path, rows: list[tuple[str, int, str, str, str]], name: str = "reals") -> Path:
    path = folder / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split", "source", "identity", "dataset"))
        writer.writerows((*row, "mine") for row in rows)
    return path


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of all rows by all `FAMILIES`, with one job."""
    out = tmp_path_factory.mktemp("made") / "out"
    done = synthesize(read_reals(table(folder, ROWS)), out, make_settings(families=FAMILIES))
    assert done.index == out / "index.parquet"
    return out


def files(out: Path) -> dict[str, bytes]:
    """All that must repeat: everything but the logs, which are in the order of the work."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix != ".jsonl"
    }


def picture(index: Index, path: str) -> np.ndarray:
    return np.asarray(cv2.imread(str(index.file(path)), cv2.IMREAD_COLOR))[..., ::-1].astype(int)


def test_the_index_lists_every_face_and_its_forgeries(made: Path) -> None:
    rows = read_index(made / "index.parquet").table
    counts = dict(rows.group_by("manipulation").len().iter_rows())
    # of the three sources and splits only the two Londoners in training can be swapped
    assert counts == {"": 4, "self_blend": 4, "reupsample-nearest": 4, "face_swap": 2}
    assert set(rows["dataset"]) == {"synthetic"}
    assert set(rows["codec"]) == {"png"}
    fakes = rows.filter(pl.col("label") == 1)
    assert fakes["mask_path"].null_count() == 0
    assert rows.filter(pl.col("label") == 0)["mask_path"].null_count() == 4
    test = rows.filter(pl.col("split") == "test")
    assert {tuple(p) for p in test["identities"]} == {("london/025",)}
    assert "synthetic/self_blend/raw/mine/real/raw/london_006_03" in set(rows["video_id"])


def test_two_people_share_source_and_split_and_both_are_named(made: Path) -> None:
    rows = read_index(made / "index.parquet").table
    swaps = rows.filter(pl.col("manipulation") == "face_swap")
    assert sorted(swaps["identities"].to_list()) == [
        ["london/006", "london/024"],
        ["london/024", "london/006"],
    ]
    home: dict[str, set[tuple[str, str]]] = {}
    for people, source, split in rows.select("identities", "source", "split").iter_rows():
        for name in people:
            home.setdefault(name, set()).add((source, split))
    assert all(len(places) == 1 for places in home.values())


def test_a_real_is_the_native_crop_and_its_landmarks_fit(made: Path, folder: Path) -> None:
    index = read_index(made / "index.parquet")
    row = index.table.filter((pl.col("label") == 0) & (pl.col("source") == "congress")).to_dicts()[
        0
    ]
    image = np.ascontiguousarray(cv2.imread(str(folder / "congress_A000055.jpg"))[..., ::-1])
    crop = crop_face(Frame(image), find_faces(Frame(image), MTCNNDetector())[0])
    # the two decoders differ by a grey level here and there
    assert np.abs(picture(index, row["path"]) - crop.image).max() <= 2
    assert tuple(row["box"]) == crop.box
    assert (row["width"], row["height"]) == crop.image.shape[1::-1]
    five = np.array(row["landmarks"]).reshape(5, 2)
    np.testing.assert_allclose(five, crop.face.landmarks - np.array(crop.box[:2]), atol=0.2)


def test_masks_cover_what_differs(made: Path) -> None:
    index = read_index(made / "index.parquet")
    reals = {
        tuple(row["box"]): picture(index, row["path"])
        for row in index.table.filter(pl.col("label") == 0).to_dicts()
    }
    for row in index.table.filter(pl.col("label") == 1).to_dicts():
        mask = cv2.imread(str(index.file(row["mask_path"])), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (row["height"], row["width"])
        assert set(np.unique(mask)) <= {0, 255}
        changed = np.abs(picture(index, row["path"]) - reals[tuple(row["box"])]).max(axis=2) > 2
        assert changed.any()
        assert (mask[changed] == 255).mean() >= 0.995


def test_every_loss_has_its_reason(made: Path) -> None:
    told = json.loads((made / "synthesis.json").read_text())
    assert (told["pictures"], told["faces"], told["reals"]) == (6, 4, 4)
    assert told["forgeries"] == {"self_blend": 4, "reupsample-nearest": 4, "face_swap": 2}
    assert sum(told["landmarks"].values()) == 4
    assert [(m["path"], m["family"], m["reason"]) for m in told["missing"]] == [
        ("grass.png", "", "no_face"),
        ("nowhere.png", "", "missing"),
        ("london_025_08.jpg", "face_swap", "no_donor"),
        ("congress_A000055.jpg", "face_swap", "no_donor"),
    ]
    assert told["settings"]["seed"] == 0
    assert told["settings_sha256"] == make_settings(families=FAMILIES).sha256


def test_order_and_processes_do_not_matter(made: Path, folder: Path, tmp_path: Path) -> None:
    other = table(folder, ROWS[::-1], "reversed")
    out = tmp_path / "out"
    synthesize(read_reals(other), out, make_settings(families=FAMILIES), jobs=2)
    once, again = files(made), files(out)
    assert set(once) == set(again)
    ordered = {"index.parquet", "synthesis.json"}  # in the order of the input
    assert {name: data for name, data in once.items() if name not in ordered} == {
        name: data for name, data in again.items() if name not in ordered
    }


@pytest.mark.usefixtures("quick")
def test_an_interrupted_run_continues_to_the_same_bytes(
    made: Path, folder: Path, tmp_path: Path
) -> None:
    out, settings = tmp_path / "out", make_settings(families=FAMILIES)
    reals = read_reals(table(folder, ROWS))

    def stop_at(what: str, number: int) -> Callable[[str, int, int], None]:
        def progress(now: str, done: int, total: int) -> None:
            if (now, done) == (what, number):
                raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        synthesize(reals, out, settings, progress=stop_at("faces", 3))
    assert len((out / "faces.jsonl").read_text().splitlines()) == 3
    with pytest.raises(KeyboardInterrupt):
        synthesize(reals, out, settings, resume=True, progress=stop_at("forgeries", 2))
    # a kill may tear the last line and the last picture
    with (out / "forgeries.jsonl").open("a") as log:
        log.write('{"name":"torn')
    next((out / "real").iterdir()).write_bytes(b"")
    seen: list[tuple[str, int, int]] = []
    synthesize(reals, out, settings, resume=True, progress=lambda *now: seen.append(now))
    # the missing file is tried again, the finished faces are not
    assert [now for now in seen if now[0] == "faces"] == [("faces", 1, 1)]
    assert [now for now in seen if now[0] == "forgeries"][-1] == ("forgeries", 2, 2)
    once = files(made)
    torn = {name for name, data in files(out).items() if not data}
    assert len(torn) == 1  # emptied by us, and its record stands
    assert {k: v for k, v in files(out).items() if k not in torn} == {
        k: v for k, v in once.items() if k not in torn
    }
    (out / torn.pop()).unlink()
    synthesize(reals, out, settings, resume=True)
    assert files(out) == once


@pytest.mark.parametrize(
    ("settings", "resume", "message"),
    [
        ({"families": FAMILIES}, False, "holds an earlier synthesis"),
        ({"families": FAMILIES, "seed": 1}, True, "other settings: seed 0 there, 1 here"),
    ],
)
def test_an_earlier_run_is_not_written_over(
    made: Path, folder: Path, settings: dict[str, object], resume: bool, message: str
) -> None:
    reals = read_reals(table(folder, ROWS))
    before = files(made)
    with pytest.raises(DatasetError, match=message):
        synthesize(reals, made, make_settings(**settings), resume=resume)
    assert files(made) == before


def test_a_foreign_folder_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DatasetError, match="not empty, and not a folder of `unmask synthesize`"):
        synthesize(read_reals(table(folder, ROWS)), tmp_path, make_settings(families=["morph"]))


@pytest.fixture(scope="module")
def crops(made: Path) -> Index:
    """The reals of `made` as crops that need no detector."""
    return read_reals(made / "index.parquet")


@pytest.mark.usefixtures("quick")
def test_crops_are_used_as_they_are(crops: Index, tmp_path: Path) -> None:
    out = tmp_path / "out"
    synthesize(crops, out, make_settings(families=["self_blend"], seed=3))
    index = read_index(out / "index.parquet")
    reals = index.table.filter(pl.col("label") == 0)
    assert len(reals) == len(crops)
    for row, old in zip(reals.to_dicts(), crops.table.to_dicts(), strict=True):
        np.testing.assert_array_equal(picture(index, row["path"]), picture(crops, old["path"]))
        assert (row["box"], row["landmarks"]) == (old["box"], old["landmarks"])


@pytest.mark.usefixtures("quick")
def test_both_classes_go_through_the_same_chain(crops: Index, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = make_settings(
        families=["retouch", "self_blend"], encode="jpeg", quality=90, launder=True, seed=5
    )
    synthesize(crops, out, settings)
    index = read_index(out / "index.parquet")
    assert {tuple(r) for r in index.table.select("codec", "quality").iter_rows()} == {("jpeg", 90)}
    rows = index.table.to_dicts()
    reals = {row["identities"][0]: row for row in rows if not row["label"]}
    treated = untouched = 0
    for row in (row for row in rows if row["label"]):
        real = reals[row["identities"][0]]
        assert (row["width"], row["height"]) == (real["width"], real["height"])
        assert row["landmarks"] == real["landmarks"]
        mask = cv2.imread(str(index.file(row["mask_path"])), cv2.IMREAD_UNCHANGED) > 0
        near = binary_dilation(mask, iterations=48)  # blur, resampling and two JPEG grids reach out
        fake, true = picture(index, row["path"]), picture(index, real["path"])
        untouched += int((~near).sum())
        # other draws would differ in nearly every pixel
        assert (fake[~near] == true[~near]).mean() > 0.999
        treated += (
            row["width"]
            != crops.table.filter(pl.col("identities").list.first() == row["identities"][0])[
                "width"
            ][0]
        )
    assert untouched > 1000
    assert treated > 0


@pytest.mark.usefixtures("quick")
def test_own_landmarks_are_moved_into_the_crop(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform((80, 90), (300, 340), (189, 2)).round(1)
    row = {
        "video_id": "mine/real/raw/a", "frame": 0, "path": "london_006_03.jpg", "label": 0,
        "dataset": "mine", "source": "london", "identities": ["a"], "split": None,
        "landmarks": points.ravel().tolist(),
    }  # fmt: skip
    synthesize(index_of(folder, [row]), tmp_path / "out", make_settings(families=["reupsample"]))
    (found,) = map(json.loads, (tmp_path / "out" / "faces.jsonl").read_text().splitlines())
    assert found["source"] == "own"
    moved = np.array(found["landmarks"]).reshape(-1, 2) + found["box"][:2]
    np.testing.assert_allclose(moved, points, atol=0.02)
    assert read_index(tmp_path / "out" / "index.parquet").table["split"].null_count() == 2


@pytest.mark.usefixtures("quick")
def test_landmarks_say_where_they_come_from(crops: Index, tmp_path: Path) -> None:
    settings = make_settings(families=["self_blend"], landmarks="mean_shape", limit=1)
    done = synthesize(crops, tmp_path / "out", settings)
    assert done.report.landmarks == {"mean_shape": 1}
    assert any("unmask[landmarks]" in line for line in done.report.lines())


@pytest.mark.usefixtures("quick")
def test_forgeries_that_fail_are_told_one_by_one(
    crops: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(face, landmarks, rng):
        return face.copy(), np.zeros(face.shape[:2], bool)

    def breaks(face, landmarks, rng):
        raise RuntimeError("odd face")

    monkeypatch.setitem(SPECS, "nothing", FamilySpec("changes nothing", nothing))
    monkeypatch.setitem(SPECS, "breaks", FamilySpec("breaks", breaks))
    settings = make_settings(families=["nothing", "breaks"], limit=2)
    done = synthesize(crops, tmp_path / "out", settings)
    assert done.index is None
    told = [(m.family, m.reason, m.message) for m in done.report.missing]
    assert told == 2 * [
        ("nothing", "unchanged", ""),
        ("breaks", "internal_error", "RuntimeError: odd face"),
    ]
    assert not (tmp_path / "out" / "index.parquet").exists()
    assert not (tmp_path / "out" / "real").exists()


@pytest.mark.usefixtures("quick")
def test_per_face_makes_different_forgeries(crops: Index, tmp_path: Path) -> None:
    settings = make_settings(families=["self_blend"], per_face=3, limit=1)
    index = read_index(synthesize(crops, tmp_path / "out", settings).index or Path())
    fakes = [r for r in index.table.to_dicts() if r["label"]]
    assert [r["video_id"].partition("#")[2] for r in fakes] == ["", "2", "3"]
    assert len({picture(index, r["path"]).tobytes() for r in fakes}) == 3


@pytest.mark.usefixtures("quick")
def test_a_full_disk_is_told(crops: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workers.Workshop, "_store", full)
    with pytest.raises(DatasetError, match=r"(?s)cannot be written.*No space.*--resume"):
        synthesize(crops, tmp_path / "out", make_settings(families=["self_blend"], limit=1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"families": []}, "families"),
        ({"families": ["unheard"]}, "no family of forgeries 'unheard'"),
        ({"families": ["morph", "morph"]}, "named twice"),
        ({"families": ["morph"], "quality": 0}, "quality"),
        ({"families": ["morph"], "colour": 1}, "colour"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_settings(**given)


def test_draws_depend_on_everything_named() -> None:
    numbers = {int(draws(*key).integers(2**62)) for key in [(0, "a", 1), (1, "a", 1), (0, "b", 1)]}
    assert len(numbers) == 3
    # a literal: it must never change, or data sets could not be made again
    assert int(draws(0, "self_blend", "ab", 0).integers(2**31)) == 1928447994


def test_settings_hash_is_of_all_settings() -> None:
    base = Settings(families=("morph",))
    assert base.sha256 == Settings(families=("morph",)).sha256
    assert base.sha256 != Settings(families=("morph",), seed=1).sha256


def test_a_learned_person_is_named_beside_the_one_in_the_picture(
    folder: Path, tmp_path: Path, quick: None
) -> None:
    reals = read_reals(table(folder, ROWS[2:3], "one"))
    synthesize(reals, tmp_path / "out", make_settings(families=("autoencoder_swap",)), jobs=1)
    rows = read_index(tmp_path / "out" / "index.parquet").table
    painted = {kind: who for kind, (who, split) in PEOPLE.items() if split == "test"}
    (identities,) = rows.filter(pl.col("label") == 1)["identities"].to_list()
    assert identities[0] == "london/025"
    assert identities[1] in painted.values()
