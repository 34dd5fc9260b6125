"""Files written whole, and things made by one process at a time."""

from __future__ import annotations

import threading
from pathlib import Path

from unmask.data.atomic import one_at_a_time, replacing


def test_what_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    try:
        with replacing(path) as part:
            part.write_text("half")
            raise RuntimeError
    except RuntimeError:
        pass
    assert path.read_text() == "before"


def test_a_second_one_waits_for_the_first(tmp_path: Path) -> None:
    path, order = tmp_path / "made.npy", []
    inside, tried = threading.Event(), threading.Event()

    def second() -> None:
        inside.wait(10)
        tried.set()
        with one_at_a_time(path):
            order.append(path.is_file())

    thread = threading.Thread(target=second)
    thread.start()
    with one_at_a_time(path):
        inside.set()
        tried.wait(10)
        thread.join(0.2)  # it would be done by now, had it not to wait
        assert order == []
        path.write_bytes(b"made")
    thread.join(10)
    assert order == [True]
    assert path.read_bytes() == b"made"
