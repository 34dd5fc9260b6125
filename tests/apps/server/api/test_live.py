"""What only a real server on a real socket shows: streams, slow senders, broken connections."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from unmask.apps.server.api import Patience, uploads

BOUNDARY = "b0undary"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
).encode()
END = f"\r\n--{BOUNDARY}--\r\n".encode()
WAIT_S = 20.0


@contextmanager
def serving(bench: Any) -> Iterator[int]:
    """The port of the application on loopback."""
    config = uvicorn.Config(
        bench.app, host="127.0.0.1", port=0, log_level="critical", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextmanager
def posting(port: int, *lines: str) -> Iterator[socket.socket]:
    """A connection on which the head of an upload was sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as line:
        head = (
            "POST /v1/analyses HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            *lines,
        )
        line.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
        yield line


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def status(line: socket.socket) -> int:
    answer = http.client.HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer.status


def test_a_chunked_upload_goes_to_disk_while_it_comes(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    real = uploads._Sink._write

    def watched(self: Any, data: bytes, last: bool) -> None:
        writes.append(len(data))
        real(self, data, last)

    monkeypatch.setattr(uploads._Sink, "_write", watched)
    content = bench.png + os.urandom(3_000_000)
    with serving(bench) as port, posting(port, "Transfer-Encoding: chunked") as line:
        line.sendall(chunk(HEAD))
        for at in range(0, len(content), 50_000):
            line.sendall(chunk(content[at : at + 50_000]))
            if at == 1_500_000:  # the body is far from complete, and most of its half is written
                until(lambda: sum(writes) > 1_000_000)
        line.sendall(chunk(END) + b"0\r\n\r\n")
        assert status(line) == 202
    assert max(writes) < 600_000
    (folder,) = bench.uploads()
    assert (folder / "media").read_bytes() == content


def test_a_sender_that_stops_is_told_and_its_file_removed(make_bench: Any) -> None:
    bench = make_bench(patience=Patience(idle_s=0.3, linger_s=0.2))
    with serving(bench) as port, posting(port, "Content-Length: 1000000") as line:
        line.sendall(HEAD + bench.png.ljust(uploads.WRITE_BYTES, b"x"))
        until(bench.uploads)
        assert status(line) == 408
        until(lambda: not bench.uploads())


def test_a_sender_that_drips_is_told_and_its_file_removed(make_bench: Any) -> None:
    patience = Patience(idle_s=60, bytes_per_s=10**9, grace_s=0.2, linger_s=0.2)
    bench = make_bench(patience=patience)
    with serving(bench) as port, posting(port, "Content-Length: 100000") as line:
        line.sendall(HEAD + bench.png)
        line.settimeout(0.05)
        answer = b""
        for _ in range(400):
            line.send(b"x")
            try:
                answer = line.recv(100)
            except TimeoutError:
                continue
            break
        assert answer.startswith(b"HTTP/1.1 408")
        until(lambda: not bench.uploads())


def test_a_connection_that_breaks_leaves_nothing(bench: Any) -> None:
    with serving(bench) as port:
        with posting(port, "Content-Length: 1000000") as line:
            line.sendall(HEAD + bench.png.ljust(uploads.WRITE_BYTES, b"x"))
            until(bench.uploads)
        until(lambda: not bench.uploads())
    assert bench.client.get("/v1/analyses").json()["items"] == []


def test_more_uploads_than_may_come_at_once_are_refused_until_one_ends(make_bench: Any) -> None:
    bench = make_bench(max_uploads=2, patience=Patience(linger_s=0.2))
    body = HEAD + bench.png + END

    def told() -> str:
        return str(bench.client.get("/metrics").text)

    with serving(bench) as port:
        with (
            posting(port, f"Content-Length: {len(body)}") as first,
            posting(port, "Content-Length: 100000") as broken,
        ):
            first.sendall(HEAD)
            broken.sendall(HEAD + bench.png)
            until(lambda: "unmask_uploads 2.0" in told())
            for path in ("/v1/analyses", "/v1/batches"):
                third = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
                kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
                third.request("POST", path, body, kind)
                answer = third.getresponse()
                assert answer.status == 429
                assert int(answer.headers["retry-after"]) >= 1
                assert b"urn:unmask:problem:too-many-uploads" in answer.read()
                third.close()
            assert bench.uploads() == []  # nothing is written of what may come to nothing
            first.sendall(bench.png + END)  # in good order
            assert status(first) == 202
            with posting(port, f"Content-Length: {len(body)}") as fourth:
                fourth.sendall(body)
                assert status(fourth) == 202
        until(lambda: "unmask_uploads 0.0" in told())  # the other broke


@pytest.mark.parametrize(
    ("end", "code"),
    [(b"", 408), (b"x" * 2_000, 413), (b"\r\nno boundary", 408), (b"\r\n--b0undary\r\n\r\n", 400)],
    ids=["slow", "too large", "unfinished", "malformed"],
)
def test_a_refused_upload_gives_its_place_back(make_bench: Any, end: bytes, code: int) -> None:
    patience = Patience(idle_s=0.3, linger_s=0.2)
    bench = make_bench(max_uploads=1, max_upload_bytes=1500, patience=patience)
    body = HEAD + bench.png + END
    with serving(bench) as port:
        for _ in range(2):
            with posting(port, "Transfer-Encoding: chunked") as line:
                line.sendall(chunk(HEAD + bench.png + end))
                assert status(line) == code
        with posting(port, f"Content-Length: {len(body)}") as line:
            line.sendall(body)
            assert status(line) == 202


def test_an_endless_body_is_refused_while_it_comes(make_bench: Any) -> None:
    bench = make_bench(max_upload_bytes=100_000)
    with serving(bench) as port, posting(port, "Transfer-Encoding: chunked") as line:
        line.sendall(chunk(HEAD))
        piece = chunk(bench.png.ljust(10_000, b"x"))
        for _ in range(20):  # the end is never sent
            line.sendall(piece)
        assert status(line) == 413
        until(lambda: not bench.uploads())


def test_who_sends_everything_before_it_reads_still_gets_the_answer(make_bench: Any) -> None:
    bench = make_bench(max_upload_bytes=100_000)
    size = 20_000_000
    with serving(bench) as port, posting(port, f"Content-Length: {size}") as line:
        for _ in range(size // 100_000):
            line.sendall(b"x" * 100_000)
        assert status(line) == 413


def test_who_asks_first_is_refused_without_sending(make_bench: Any) -> None:
    bench = make_bench(max_upload_bytes=1000)
    expecting = ("Content-Length: 1000000", "Expect: 100-continue")
    with serving(bench) as port, posting(port, *expecting) as line:
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_who_asks_first_may_send(bench: Any) -> None:
    body = HEAD + bench.png + END
    expecting = (f"Content-Length: {len(body)}", "Expect: 100-continue")
    with serving(bench) as port, posting(port, *expecting) as line:
        assert line.recv(100).startswith(b"HTTP/1.1 100")
        line.sendall(body)
        assert status(line) == 202


def test_ranges_over_the_wire(bench: Any) -> None:
    content = bench.png + os.urandom(700_000)
    id = bench.submitted(content=content)
    with serving(bench) as port:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        line.request("GET", f"/v1/analyses/{id}/media", headers={"Range": "bytes=1000-650000"})
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (206, content[1000:650_001])
        line.request("GET", f"/v1/analyses/{id}/media")  # on the same connection
        assert line.getresponse().read() == content
        line.close()


def test_a_store_that_blocks_does_not_stop_the_others(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, free = threading.Event(), threading.Event()

    def blocked(*_: Any, **__: Any) -> list[Any]:
        entered.set()
        assert free.wait(WAIT_S)
        return []

    monkeypatch.setattr(type(bench.store.jobs), "jobs", blocked)
    with serving(bench) as port:
        waiting = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        waiting.request("GET", "/v1/analyses")
        assert entered.wait(WAIT_S)
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        other.request("GET", "/healthz")
        assert other.getresponse().status == 200
        free.set()
        assert waiting.getresponse().status == 200
        other.close()
        waiting.close()
