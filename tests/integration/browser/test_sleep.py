"""The help that puts the worker to sleep, where the worker is in the middle of a write."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.integration.browser.conftest import put_to_sleep

WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("writing", flush=True)
time.sleep(1.0)
connection.execute("COMMIT")
time.sleep(600)
"""


def test_a_process_is_not_stopped_in_the_middle_of_a_write(tmp_path: Path) -> None:
    database = tmp_path / "service.db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(database)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        put_to_sleep(writer.pid, database)
        sqlite3.connect(database, timeout=0).execute("BEGIN IMMEDIATE")
    finally:
        os.kill(writer.pid, signal.SIGCONT)
        writer.kill()
        writer.wait()
