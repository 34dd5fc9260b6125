from __future__ import annotations

import errno
import io
import os
import struct
import zlib
from typing import Any

import pytest

from unmask.apps.server.api import uploads
from unmask.apps.server.api.uploads import clean_name

BOUNDARY = "b0undary"


def part(name: str, value: bytes, *, filename: str | None = None, more: bytes = b"") -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'Content-Disposition: form-data; name="{name}"{file}\r\n'.encode()
    return f"--{BOUNDARY}\r\n".encode() + head + more + b"\r\n" + value + b"\r\n"


def raw(bench: Any, body: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY}") -> Any:
    return bench.client.post("/v1/analyses", content=body, headers={"Content-Type": kind})


END = f"--{BOUNDARY}--\r\n".encode()


def refused(bench: Any, answer: Any, status: int) -> None:
    """A problem, and nothing left behind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert bench.uploads() == []
    assert bench.client.get("/v1/analyses").json()["items"] == []


def test_the_smallest_form_is_taken(bench: Any) -> None:
    assert raw(bench, part("file", bench.png, filename="a") + END).status_code == 202


def test_an_empty_file_is_refused(bench: Any) -> None:
    answer = bench.send(b"")
    refused(bench, answer, 422)
    assert answer.json()["type"] == "urn:unmask:problem:empty-file"


def test_one_byte_over_the_limit_is_refused_and_the_limit_itself_is_not(make_bench: Any) -> None:
    bench = make_bench(max_upload_bytes=600_000)
    content = bench.png.ljust(600_000, b"x")
    refused(bench, bench.send(content + b"x"), 413)
    assert bench.send(content).json()["bytes"] == 600_000


def test_an_announced_body_that_is_too_large_is_refused_unread(make_bench: Any) -> None:
    bench = make_bench(max_upload_bytes=1000)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": "9" * 30,
    }
    refused(bench, bench.client.post("/v1/analyses", content=b"x", headers=headers), 413)


@pytest.mark.parametrize(
    "content",
    [
        b"once upon a time",
        b"%PDF-1.7",
        b"MZ\x90\x00",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"\x00" * 5000,
        b"x",
    ],
)
def test_other_content_is_refused_whatever_its_name(bench: Any, content: bytes) -> None:
    refused(bench, bench.send(content, "a.png"), 415)


def test_the_name_decides_nothing(bench: Any) -> None:
    assert bench.send(name="a.txt").json()["format"] == "png"


def test_a_polyglot_is_what_its_first_bytes_say(bench: Any) -> None:
    content = b"GIF89a/*" + b"\0" * 20 + b"*/=1;<script>alert(1)</script>"
    id = bench.submitted(content=content, name="a.html")
    answer = bench.client.get(f"/v1/analyses/{id}/media")
    assert answer.headers["content-type"] == "image/gif"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_a_bomb_is_taken_unopened_for_the_worker_to_refuse(bench: Any) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 2_000_000, 9))
    bomb = b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
    body = bench.send(bomb).json()
    assert (body["state"], body["bytes"]) == ("queued", len(bomb))


def test_a_truncated_picture_is_taken_for_the_worker_to_tell(bench: Any) -> None:
    assert bench.send(bench.png[:40]).json()["state"] == "queued"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("/etc/cron.d/x", "x"),
        ("..", "upload"),
        ("", "upload"),
        ("a\x00b\x1b[31m\x7f.png", "ab[31m.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\r\nSet-Cookie: x=1.png", "aSet-Cookie: x=1.png"),
        ("  a \t b  ", "a b"),
        ("\u00e4\u6f22\u5b57.png", "\u00e4\u6f22\u5b57.png"),
        ("x" * 400 + ".png", "x" * 255),
        ("<script>", "<script>"),
    ],
)
def test_names_are_cleaned(sent: str, kept: str) -> None:
    assert clean_name(sent) == kept


@pytest.mark.parametrize("name", ["../../../../tmp/escape.png", "/absolute.png", "..\\up.png"])
def test_names_never_choose_a_place(bench: Any, name: str) -> None:
    before = set(bench.settings.data.parent.rglob("*.png"))
    body = raw(bench, part("file", bench.png, filename=name) + END).json()
    assert "/" not in body["name"]
    assert "\\" not in body["name"]
    assert set(bench.settings.data.parent.rglob("*.png")) == before
    assert [path.name for path in bench.uploads()] == [body["id"]]


def test_a_name_cannot_add_a_header_to_an_answer(bench: Any) -> None:
    name = "a%0d%0aX-Evil: 1.png"
    id = raw(bench, part("file", bench.png, filename=name) + END).json()["id"]
    bench.finish(id)
    for path in ("", "/media", "/result.json"):
        assert "x-evil" not in bench.client.get(f"/v1/analyses/{id}{path}").headers


def test_a_header_inside_of_a_part_is_ignored(bench: Any) -> None:
    more = b"Content-Type: text/html\r\nX-Evil: 1\r\n"
    answer = raw(bench, part("file", bench.png, filename="a.png", more=more) + END)
    assert answer.json()["format"] == "png"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"max_frames": "0"}, "max_frames"),
        ({"max_frames": "-1"}, "max_frames"),
        ({"max_frames": "1.5"}, "max_frames"),
        ({"max_frames": "99999"}, "max_frames"),
        ({"max_frames": ""}, "max_frames"),
        ({"max_frames": "\u0661"}, "max_frames"),
        ({"evidence": "maybe"}, "evidence"),
        ({"other": "1"}, "form"),
        ({"max_frames": "1" * 100_000}, "max_frames"),
        ({"evidence": ["true", "true"]}, "evidence"),
    ],
)
def test_odd_fields_are_refused(bench: Any, fields: dict[str, Any], where: str) -> None:
    answer = bench.send(fields=fields)
    refused(bench, answer, 422)
    assert answer.json()["errors"][0]["where"] == where


def test_a_second_file_is_refused(bench: Any) -> None:
    file = part("file", bench.png, filename="a.png")
    refused(bench, raw(bench, file + file + END), 422)


def test_many_parts_are_refused(bench: Any) -> None:
    body = b"".join(part(f"f{n}", b"x") for n in range(5000))
    refused(bench, raw(bench, body + END), 422)


def test_a_form_without_a_file_is_refused(bench: Any) -> None:
    refused(bench, raw(bench, part("max_frames", b"3") + END), 422)
    refused(bench, raw(bench, END), 422)


def test_a_file_sent_as_a_plain_field_is_refused(bench: Any) -> None:
    refused(bench, raw(bench, part("file", bench.png) + END), 422)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        part("file", b"\x89PNG\r\n\x1a\n" + b"x" * 9000, filename="a.png"),
        part("file", b"\x89PNG\r\n\x1a\n" + b"x" * 9000, filename="a.png")[:-9000],
        f"--{BOUNDARY}\r\n\r\nno header\r\n".encode() + END,
        f"--{BOUNDARY}\r\nContent-Disposition: attachment\r\n\r\nx\r\n".encode() + END,
        f"--{BOUNDARY}\r\n{'x' * 100_000}: y\r\n\r\nx\r\n".encode() + END,
        f"--{BOUNDARY}\r\n".encode() + b"a: b\r\n" * 100 + b"\r\nx\r\n" + END,
        part("file", b"eA==", filename="a", more=b"Content-Transfer-Encoding: base64\r\n") + END,
        part("file", b"x", more=b'Content-Disposition: form-data; name="evidence"\r\n') + END,
    ],
)
def test_broken_bodies_are_refused(bench: Any, body: bytes) -> None:
    refused(bench, raw(bench, body), 400)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        (f"multipart/form-data; boundary={'x' * 300}", 400),
        ("application/json", 415),
        ("application/octet-stream", 415),
        ("", 415),
    ],
)
def test_other_content_types_are_refused(bench: Any, kind: str, status: int) -> None:
    refused(bench, raw(bench, part("file", bench.png, filename="a.png") + END, kind), status)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def full(self: Any, data: bytes, last: bool) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(uploads._Sink, "_write", full)
    answer = bench.send()
    refused(bench, answer, 503)
    assert answer.json()["type"] == "urn:unmask:problem:storage-full"
    assert int(answer.headers["retry-after"]) >= 1


def test_other_faults_of_the_disk_leave_nothing(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, data: bytes, last: bool) -> None:
        raise OSError(errno.EIO, "at /secret/place")

    monkeypatch.setattr(uploads._Sink, "_write", broken)
    answer = bench.send()
    refused(bench, answer, 500)
    assert "secret" not in answer.text


def test_a_boundary_like_content_survives(bench: Any) -> None:
    content = bench.png + f"\r\n--{BOUNDARY[:-1]}\r\n\r\n--\r\n-".encode() * 500
    body = raw(bench, part("file", content, filename="a.png") + END).json()
    kept = io.BytesIO(bench.settings.upload_path(body["id"]).read_bytes())
    assert kept.getvalue() == content
