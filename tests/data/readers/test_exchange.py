"""The exchange JSON, read and written, and both ways round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unmask.data.index import Index, index_of, video_id
from unmask.data.readers import READERS
from unmask.data.readers.exchange import LABELS, read, write_exchange
from unmask.errors import DatasetError

C23 = "FaceForensics++/{}/c23/frames/{}/{}.png"
YOUTUBE, DEEPFAKES = "original_sequences/youtube", "manipulated_sequences/Deepfakes"
REAL = [C23.format(YOUTUBE, "000", n) for n in ("000", "010")]
FAKE = [C23.format(DEEPFAKES, "000_003", n) for n in ("000", "010")]
MASK = FAKE[0].replace("frames", "masks")
LANDMARKS = FAKE[1].replace("frames", "landmarks").replace(".png", ".npy")


def video(label: str, frames: list[str], **more: Any) -> dict[str, Any]:
    return {"label": label, "frames": frames, **more}


def ffpp(real: list[str] = REAL, fake: list[str] = FAKE) -> dict[str, Any]:
    """As the benchmark's preprocessing writes it, with compression levels and empty splits."""
    return {
        "FaceForensics++": {
            "FF-real": {"train": {"c23": {"000": video("FF-real", real)}}, "val": {"c23": {}}},
            "FF-DF": {"test": {"c23": {"000_003": video("FF-DF", fake, masks=[])}}},
        }
    }


@pytest.fixture
def made(tmp_path: Path, tree: Any) -> Path:
    contents = dict.fromkeys([*REAL, *FAKE, MASK, LANDMARKS], b"")
    root: Path = tree(tmp_path / "sets", {"x.json": ffpp(), **contents})
    return root


def save(root: Path, value: Any) -> Path:
    (root / "x.json").write_text(json.dumps(value))
    return root / "x.json"


def facts(index: Index, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[c] for c in columns) for row in index.table.to_dicts()]


def test_labels_splits_ids_masks_and_landmarks(made: Path) -> None:
    index = READERS["exchange"].read(made / "x.json")
    fake, real = "ffpp/Deepfakes/c23/000_003", "ffpp/real/c23/000"
    assert facts(index, "video_id", "frame", "path", "label", "split") == [
        (real, 0, REAL[0], 0, "train"),
        (real, 10, REAL[1], 0, "train"),
        (fake, 0, FAKE[0], 1, "test"),
        (fake, 10, FAKE[1], 1, "test"),
    ]
    assert facts(index, "mask_path", "landmarks_path") == [
        (None, None),
        (None, None),
        (MASK, None),
        (None, LANDMARKS),
    ]
    assert facts(index, "dataset", "compression", "source", "codec")[0] == (
        "ffpp",
        "c23",
        "FF-real",
        "png",
    )


KNOWN = [
    ("FaceForensics++", "FF-real", "000", "ffpp", ["000"]),
    ("FaceForensics++", "FF-F2F", "000_003", "ffpp", ["000", "003"]),
    ("FaceForensics++", "DFD_real", "01__walking", "ffpp", ["01"]),
    ("FaceForensics++", "DFD_fake", "01_02__walking__A1B2C3D4", "ffpp", ["01", "02"]),
    ("FaceForensics++", "FF-real", "holiday", "ffpp", []),
    ("FF-DF", "FF-DF", "000_003", "ffpp", ["000", "003"]),
    ("FF-F2F", "FF-F2F", "000_003", "ffpp", ["000", "003"]),
    ("FF-FS", "FF-FS", "000_003", "ffpp", ["000", "003"]),
    ("FF-NT", "FF-real", "003", "ffpp", ["003"]),
    ("FaceShifter", "FF-FH", "000_003", "faceshifter", ["000", "003"]),
    ("DeepFakeDetection", "DFD_fake", "01_02__walk__A1B2C3D4", "dfd", ["01", "02"]),
    ("Celeb-DF-v1", "CelebDFv1_fake", "id0_id1_0000", "celebdf-v1", ["id0", "id1"]),
    ("Celeb-DF-v2", "CelebDFv2_real", "id0_0003", "celebdf-v2", ["id0"]),
    ("Celeb-DF-v2", "CelebDFv2_real", "00170", "celebdf-v2", []),
    ("DeeperForensics-1.0", "DF_fake", "000_M101", "deeperforensics", ["000", "M101"]),
    ("DeeperForensics-1.0", "DF_real", "M101_light_up_happy", "deeperforensics", ["M101"]),
    ("DFDC", "DFDC_Real", "aaa", "dfdc", []),
    ("DFDCP", "DFDCP_Real", "643049_A_001", "dfdc-preview", ["643049"]),
    ("DFDCP", "DFDCP_FakeA", "1255229_1260311_C_001", "dfdc-preview", ["1260311", "1255229"]),
    ("DFDCP", "DFDCP_FakeA", "1_2_A", "dfdc-preview", []),
    ("UADFV", "UADFV_Real", "0003", "uadfv", ["0003"]),
    ("UADFV", "UADFV_Fake", "0003_fake", "uadfv", ["0003"]),
    ("celebdf-pp", "CelebDFv2_fake", "FaceSwap/id0_id1_0000", "celebdf-pp", ["id0", "id1"]),
    ("mine", "FF-DF", "000_003", "mine", []),
]


@pytest.mark.parametrize(("name", "label", "stem", "ours", "people"), KNOWN)
def test_known_data_sets_have_our_names_and_their_people(
    name: str, label: str, stem: str, ours: str, people: list[str], made: Path
) -> None:
    value = {name: {label: {"test": {"c23": {stem: video(label, REAL)}}}}}
    index = read(save(made, value))
    assert facts(index, "dataset", "identities") == [(ours, people)] * 2
    assert {row[0].partition("/")[0] for row in facts(index, "video_id")} == {ours}
    write_exchange(index, made / "again.json")
    again = json.loads((made / "again.json").read_text())
    common = name if name[:3] != "FF-" else "FaceForensics++"
    assert again == {common: value[name]}
    assert read(made / "again.json").table.equals(index.table)


def test_a_known_data_set_given_in_parts_is_one(made: Path) -> None:
    value = ffpp()
    again = {"FF-real": {"val": {"c23": {"000": video("FF-real", REAL)}}}}
    index = read(save(made, {**value, "FF-DF": again}))
    assert facts(index, "split", "label").count(("train", 0)) == 2
    assert len(index) == 4


def test_the_people_of_a_known_data_set_can_be_told_from_its_own_index(made: Path) -> None:
    shared = {"dataset": "ffpp", "split": "val", "compression": "c23", "frame": 0, "codec": "png"}
    name = video_id("ffpp", "", "c23", "youtube/000")
    row = {**shared, "video_id": name, "path": REAL[0], "label": 0, "source": "youtube",
           "identities": ["000"]}  # fmt: skip
    write_exchange(index_of(made, [row]), made / "mine.json")
    assert list(json.loads((made / "mine.json").read_text())) == ["FaceForensics++"]
    assert facts(read(made / "mine.json"), "video_id", "dataset", "identities") == [
        (name, "ffpp", ["000"])
    ]


def windows(path: str) -> str:
    return "F:\\data sets\\" + path.replace("/", "\\")


@pytest.mark.parametrize(
    "foreign",
    [windows, lambda p: p.replace("/", "\\"), lambda p: f"/data/rgb/{p}", lambda p: f"sets/../{p}"],
)
def test_paths_of_another_machine_are_found(foreign: Any, made: Path) -> None:
    expected = read(made / "x.json").table
    masked = ffpp([foreign(p) for p in REAL], [foreign(p) for p in FAKE])
    masked["FaceForensics++"]["FF-DF"]["test"]["c23"]["000_003"]["masks"] = [foreign(MASK)]
    assert read(save(made, masked)).table.equals(expected)


def test_the_root_may_lie_elsewhere(made: Path, tmp_path: Path) -> None:
    moved = (made / "x.json").rename(tmp_path / "x.json")
    index = read(moved, root=made)
    assert index.root == made
    assert all(index.file(path).is_file() for path in index.table["path"])


def test_a_listed_frame_that_is_not_there_stays_a_row(made: Path) -> None:
    (made / REAL[0]).unlink()
    assert read(made / "x.json").table["path"].to_list() == [*REAL, *FAKE]


def test_no_compression_level_and_listed_masks_of_another_place(made: Path) -> None:
    mask = C23.format("manipulated_sequences/Deepfakes", "elsewhere", "000")
    (made / mask).parent.mkdir(parents=True)
    (made / mask).touch()
    value = {"UADFV": {"UADFV_Fake": {"test": {"v": video("UADFV_Fake", FAKE, masks=[mask])}}}}
    index = read(save(made, value))
    assert facts(index, "video_id", "compression", "mask_path") == [
        ("uadfv/UADFV_Fake/raw/v", "", mask),
        ("uadfv/UADFV_Fake/raw/v", "", None),
    ]


@pytest.mark.parametrize(
    ("listed", "counts_as"),
    [
        (("train", "val", "test"), "test"),
        (("test", "val"), "test"),
        (("val", "train"), "train"),
        (("val",), "val"),
    ],
)
def test_a_video_in_several_splits_counts_where_it_binds_most(
    listed: tuple[str, ...], counts_as: str, made: Path
) -> None:
    value = {"UADFV": {"UADFV_Real": {s: {"v": video("UADFV_Real", REAL)} for s in listed}}}
    index = read(save(made, value))
    assert facts(index, "split") == [(counts_as,), (counts_as,)]


def test_the_unnamed_video_in_val_of_common_dfdc_files(made: Path) -> None:
    odd = {**video("DFDC_Real", REAL), "001": video("DFDC_Real", FAKE)}
    value = {"DFDC": {"DFDC_Real": {"test": {"000": video("DFDC_Real", REAL)}, "val": odd}}}
    index = read(save(made, value))
    assert set(facts(index, "video_id", "split")) == {
        ("dfdc/real/raw/000", "test"),
        ("dfdc/real/raw/001", "val"),
    }


def test_reals_of_two_kinds_are_kept_apart(made: Path) -> None:
    value = ffpp()
    value["FaceForensics++"]["DFD_real"] = {"test": {"c23": {"000": video("DFD_real", REAL)}}}
    index = read(save(made, value))
    ids = {"FF-real": "ffpp/real/c23/FF-real/000", "DFD_real": "ffpp/real/c23/DFD_real/000"}
    reals = [row for row in facts(index, "label", "source", "video_id") if not row[0]]
    assert {source: name for _, source, name in reals} == ids


def test_label_strings_are_known_or_told(made: Path) -> None:
    value = {"mine": {"studio": {"val": {"v": video("studio", REAL)}}}}
    path = save(made, value)
    with pytest.raises(DatasetError, match=r"(?s)'studio' is real or fake.*x\.labels\.json.*: 1"):
        read(path)
    assert facts(read(path, labels={"studio": 0}), "label", "source") == [(0, "studio")] * 2
    (made / "x.labels.json").write_text('{"studio": 1}')
    assert facts(read(path), "label", "manipulation") == [(1, "studio")] * 2
    (made / "x.labels.json").write_text('{"studio": 2}')
    with pytest.raises(DatasetError, match=r"must map label strings to 0 \(real\) or 1"):
        read(path)
    assert "studio" not in LABELS


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "lists no frames"),
        ({"d": []}, "d must be an object; got a list"),
        ({"d": {"FF-DF": {"dev": {}}}}, r"split 'dev'; expected one of train, val, test"),
        ({"d": {"FF-DF": {"val": {"v": 1}}}}, "d/FF-DF/val/v must be an object"),
        ({"d": {"FF-DF": {"val": {"c23": {"v": 1}}}}}, "d/val/c23/v must be an object"),
        ({"d": {"FF-DF": {"val": {"c23": {"v": {"label": "FF-DF"}}}}}}, "v has no list of fr"),
        ({"d": {"FF-DF": {"val": {"v": video("FF-DF", ["a/b/1.png"])}}}},
         r"none of its 1 frames is there, such as a/b/1\.png.*Expected.*Found in"),
        ({"d": {"FF-DF": {"val": {"v": video("FF-DF", [""])}}}}, "v has no list of frames"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(value: Any, message: str, made: Path) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read(save(made, value))


def test_json_to_index_to_json_is_the_same(made: Path) -> None:
    value = ffpp()
    value["FaceForensics++"]["DFD_real"] = {"test": {"c40": {"01__a": video("DFD_real", REAL)}}}
    del value["FaceForensics++"]["FF-real"]["val"]
    fake = value["FaceForensics++"]["FF-DF"]["test"]["c23"]["000_003"]
    fake["masks"], fake["landmarks"] = [MASK], [LANDMARKS]
    table = write_exchange(read(save(made, value)), made / "again.json")
    assert json.loads((made / "again.json").read_text()) == value
    assert table == {"FF-DF": 1, "FF-real": 0, "DFD_real": 0}
    assert json.loads((made / "again.labels.json").read_text()) == table


def own(made: Path) -> Index:
    """Frames with all that the format carries, and names that it does not know."""
    shared = {"dataset": "mine", "split": "val", "identities": [], "codec": "png"}
    return index_of(
        made,
        [
            {**shared, "video_id": video_id("mine", "FaceSwap", "c40", "a/1"), "frame": 0,
             "path": FAKE[0], "label": 1, "manipulation": "FaceSwap", "compression": "c40",
             "source": "mine", "mask_path": MASK, "landmarks_path": None},
            {**shared, "video_id": video_id("mine", "FaceSwap", "c40", "a/1"), "frame": 10,
             "path": FAKE[1], "label": 1, "manipulation": "FaceSwap", "compression": "c40",
             "source": "mine", "mask_path": None, "landmarks_path": LANDMARKS},
            {**shared, "video_id": video_id("mine", "my gan", "", "9"), "frame": 10,
             "path": REAL[1], "label": 1, "manipulation": "my gan", "source": "mine"},
            {**shared, "video_id": video_id("mine", "", "", "youtube/000"), "frame": 0,
             "path": REAL[0], "label": 0, "source": "mine_real"},
        ],
    )  # fmt: skip


def test_index_to_json_to_index_is_the_same(made: Path) -> None:
    index = own(made)
    table = write_exchange(index, made / "mine.json")
    assert table == {"FF-FS": 1, "my gan": 1, "mine_real": 0}
    assert read(made / "mine.json").table.equals(index.table)


def test_a_json_in_another_folder_has_absolute_paths(made: Path, tmp_path: Path) -> None:
    write_exchange(own(made), tmp_path / "mine.json")
    again = read(tmp_path / "mine.json")
    assert again.file(again.table["path"][0]) == made / FAKE[0]
    assert again.file(again.table["mask_path"][0]) == made / MASK


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": None}, "has no frame; the exchange format needs it"),
        ({"split": None}, "has no split; the exchange format needs it"),
        ({"label": 1, "manipulation": "mine_real"}, "'mine_real' would stand for reals and fakes"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(
    change: dict[str, Any], message: str, made: Path
) -> None:
    rows = own(made).table.to_dicts()
    rows.append({**rows[-1], "video_id": "mine/other", "path": "other.png", **change})
    with pytest.raises(DatasetError, match=message):
        write_exchange(index_of(made, rows), made / "mine.json")
    assert not (made / "mine.json").exists()
