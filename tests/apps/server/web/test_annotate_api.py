"""/v1/annotation against a real project: nothing is lost, nothing overwritten, nothing made up."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from unmask.apps.server.web import project as projects
from unmask.data.annotation.masks import mask_to_png
from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.queue import read_queue
from unmask.data.annotation.rle import decode_rle, encode_rle
from unmask.data.annotation.store import Annotations, MaskStore

if TYPE_CHECKING:
    from conftest import Desk

Pictures = dict[str, Picture]


def blob(height: int = 12, width: int = 16) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[2:7, 3:9] = True
    return mask


def body(painted: np.ndarray | None = None, /, **changes: Any) -> dict[str, Any]:
    given = {"kind": "mask", "revision": 0, "annotator": "Ada"}
    shape = blob() if painted is None else painted
    return {**given, "mask": dict(encode_rle(shape, packed=False)), **changes}


@pytest.fixture
def path(pictures: Pictures) -> Callable[..., str]:
    return lambda name, rest="": f"/v1/annotation/pictures/{pictures[name].sha256}{rest}"


def test_queue_counts_by_rule_and_pages(desk: Desk, pictures: Pictures) -> None:
    whole = desk.client.get("/v1/annotation/queue").json()
    assert [item["sha256"] for item in whole["items"]] == [pictures[n].sha256 for n in "abc"]
    assert [(p["rule"], p["selected"], p["open"]) for p in whole["progress"]] == [
        ("entropy", 2, 2),
        ("random", 1, 1),
    ]
    first = desk.client.get("/v1/annotation/queue?limit=2").json()
    assert (len(first["items"]), first["next"]) == (2, 2)
    rest = desk.client.get("/v1/annotation/queue?limit=2&after=2").json()
    assert ([item["rank"] for item in rest["items"]], rest["next"]) == ([3], None)
    only = desk.client.get("/v1/annotation/queue?rule=random").json()
    assert [item["rule"] for item in only["items"]] == ["random"]


def test_the_picture_has_the_pixels_of_the_file(
    desk: Desk, pictures: Pictures, path: Callable[..., str]
) -> None:
    sent = desk.client.get(path("a", "/image.png"))
    assert sent.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(sent.content)) as shown, Image.open(pictures["a"].file) as own:
        assert np.array_equal(np.asarray(shown), np.asarray(own.convert("RGB")))


def test_a_mask_is_stored_and_comes_back(
    desk: Desk, project: Path, pictures: Pictures, path: Callable[..., str]
) -> None:
    answer = desk.client.post(path("a", "/answers"), json=body(note="left cheek"))
    assert answer.status_code == 201
    answers = Annotations(project)
    record = answers.latest(pictures["a"].sha256)
    assert record is not None
    assert (record.annotator, record.source, record.note) == ("Ada", "painted", "left cheek")
    assert np.array_equal(answers.mask(record), blob())

    state = desk.client.get(path("a")).json()
    assert (state["width"], state["height"], state["revision"]) == (16, 12, 1)
    assert np.array_equal(decode_rle(state["answer"]["mask"]), blob())
    assert desk.client.get(path("a", "/mask.png")).content == mask_to_png(blob())
    assert desk.client.get(path("a", "/mask.json")).json() == encode_rle(blob())
    assert read_queue(project)[0].state == "mask"
    assert desk.client.get("/v1/annotation/queue?state=open").json()["progress"][0]["mask"] == 1
    assert desk.store.audit.entries()[0].action == "annotate"
    document = desk.client.get("/v1/annotation/coco.json").json()
    assert len(document["images"]) == 3
    assert document["annotations"][0]["area"] == int(blob().sum())


@pytest.mark.parametrize("kind", ["no_forgery", "skipped"])
def test_other_answers_have_no_mask(desk: Desk, path: Callable[..., str], kind: str) -> None:
    answer = desk.client.post(path("b", "/answers"), json=body(kind=kind, mask=None))
    assert answer.status_code == 201
    assert desk.client.get(path("b")).json()["answer"]["kind"] == kind
    assert desk.client.get(path("b", "/mask.png")).status_code == 404
    assert desk.client.post(path("b", "/answers"), json=body(kind=kind)).status_code == 422


def test_a_second_annotator_overwrites_nothing(
    desk: Desk, project: Path, pictures: Pictures, path: Callable[..., str]
) -> None:
    assert desk.client.post(path("a", "/answers"), json=body()).status_code == 201
    other = ~blob()
    late = desk.client.post(path("a", "/answers"), json=body(other, annotator="Bea"))
    assert late.status_code == 409
    assert late.headers["content-type"] == "application/problem+json"
    problem = late.json()
    assert problem["type"] == "urn:unmask:problem:annotation-conflict"
    assert (problem["latest"]["annotator"], problem["latest"]["revision"]) == ("Ada", 1)
    assert np.array_equal(decode_rle(problem["latest"]["mask"]), blob())
    assert len(Annotations(project).history(pictures["a"].sha256)) == 1

    merged = body(other | blob(), annotator="Bea", revision=1)
    assert desk.client.post(path("a", "/answers"), json=merged).json()["revision"] == 2
    history = Annotations(project).history(pictures["a"].sha256)
    assert [record.annotator for record in history] == ["Ada", "Bea"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mask": None}, "has a mask"),
        ({"annotator": None}, "no name of an annotator"),
        ({"annotator": "oracle"}, "data set's own name"),
        ({"annotator": "A\nB"}, "no name of an annotator"),
        ({"revision": 4}, "no revision 4"),
        ({"mask": {"size": [12, 16], "counts": [192]}}, "the mask is empty"),
        ({"mask": {"size": [12, 16], "counts": [1, 2]}}, "cover 3 pixels"),
        ({"mask": {"size": [60000, 60000], "counts": [0, 3600000000]}}, "60000x60000"),
        ({"mask": {"size": [12, 16], "counts": "~"}}, "no character"),
        ({"mask": {"size": [12, 16], "counts": [-1]}}, "greater than or equal"),
        ({"extra": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_be_right_is_refused(
    desk: Desk, project: Path, path: Callable[..., str], changes: dict[str, Any], says: str
) -> None:
    answer = desk.client.post(path("a", "/answers"), json=body(**changes))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.text
    assert str(project) not in answer.text
    assert len(Annotations(project)) == 0


def test_a_real_picture_takes_no_mask(desk: Desk, path: Callable[..., str]) -> None:
    assert desk.client.get(path("c")).json()["real"] is True
    refused = desk.client.post(path("c", "/answers"), json=body())
    assert refused.status_code == 422
    assert "is real in the index" in refused.json()["detail"]


def test_a_picture_that_changed_is_not_shown(
    desk: Desk, pictures: Pictures, path: Callable[..., str]
) -> None:
    where = path("a")
    pictures["a"].file.write_bytes(pictures["b"].file.read_bytes())
    assert "changed since it was selected" in desk.client.get(where).json()["detail"]
    assert desk.client.post(f"{where}/answers", json=body()).status_code == 422


@pytest.mark.parametrize("packed", [True, False])
def test_mask_files_are_read(desk: Desk, path: Callable[..., str], packed: bool) -> None:
    for content, kind in (
        (mask_to_png(blob()), "image/png"),
        (str(encode_rle(blob(), packed=packed)).replace("'", '"').encode(), "application/json"),
    ):
        sent = desk.client.post(
            path("a", "/decode"), content=content, headers={"Content-Type": kind}
        )
        assert sent.status_code == 200, sent.text
        assert np.array_equal(decode_rle(sent.json()), blob())


@pytest.mark.parametrize(
    ("content", "kind", "status", "says"),
    [
        (mask_to_png(blob(5, 5)), "image/png", 422, "5x5"),
        (b"no picture", "image/png", 422, "not a PNG"),
        (b"[[[", "application/json", 422, "COCO RLE is"),
        (b"{}", "application/json", 422, "COCO RLE is"),
        (b"GIF89a", "image/gif", 415, "image/png"),
    ],
)
def test_other_files_are_refused(
    desk: Desk, path: Callable[..., str], content: bytes, kind: str, status: int, says: str
) -> None:
    sent = desk.client.post(path("a", "/decode"), content=content, headers={"Content-Type": kind})
    assert sent.status_code == status
    assert says in sent.json()["detail"]


def test_a_command_that_writes_is_waited_for(
    desk: Desk, project: Path, path: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "LOCK_TRIES", 2)
    monkeypatch.setattr(projects, "LOCK_PAUSE_S", 0.0)
    with MaskStore(project):
        busy = desk.client.post(path("a", "/answers"), json=body())
    assert busy.status_code == 503
    assert busy.headers["retry-after"] == "2"
    assert desk.client.post(path("a", "/answers"), json=body()).status_code == 201


def test_a_token_gives_its_own_name_and_needs_the_scope(
    desk: Desk, project: Path, pictures: Pictures, path: Callable[..., str]
) -> None:
    may, may_not = desk.token("annotate", name="Grace"), desk.token("read")
    where = path("a", "/answers")
    assert desk.client.post(where, json=body()).status_code == 401
    refused = desk.client.post(where, json=body(), headers={"Authorization": f"Bearer {may_not}"})
    assert refused.status_code == 403
    taken = desk.client.post(where, json=body(), headers={"Authorization": f"Bearer {may}"})
    assert taken.json()["annotator"] == "Grace"


def test_a_picture_that_was_not_selected_is_not_there(desk: Desk) -> None:
    assert desk.client.get("/v1/annotation/pictures/" + "0" * 64).status_code == 404
    assert desk.client.get("/v1/annotation/pictures/..%2f..").status_code in (404, 422)
