"""The web app in a real browser, on the real service with a real worker and a small model."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from unmask.apps.server.api import create_app
from unmask.apps.server.contract import Store
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.apps.server.store.database import database_url
from unmask.data.annotation.pictures import read_pictures
from unmask.data.annotation.queue import extended, write_home, write_queue

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

EXAMPLES = Path(__file__).parents[3] / "examples"
STILL, CLIP = EXAMPLES / "fake_blend_london.jpg", EXAMPLES / "fake_clip.mp4"
PATIENCE_MS = 120_000


@dataclass
class Site:
    """A running service."""

    address: str
    annotations: Path
    worker: subprocess.Popen[bytes]
    database: Path

    @contextmanager
    def worker_asleep(self) -> Iterator[None]:
        """Nothing is analysed meanwhile."""
        try:
            put_to_sleep(self.worker.pid, self.database)
            yield
        finally:
            os.kill(self.worker.pid, signal.SIGCONT)


def put_to_sleep(pid: int, database: Path) -> None:
    """Stop a child while it is not writing: one stopped in the middle keeps others from it."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while True:
        os.kill(pid, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]), "the process has ended"
        with closing(sqlite3.connect(database, timeout=0.5, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                assert time.monotonic() < deadline, "somebody else keeps the database"
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)


@dataclass
class Window:
    """A page of a fresh browser profile, with what it asked for and complained of."""

    page: Any
    site: Site
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.site.address + path)

    def say(self, id: str) -> str:
        return str(self.page.locator(f"#{id}").inner_text())


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An annotation project about three of the examples."""
    root = tmp_path_factory.mktemp("project")
    (root / "pictures").mkdir()
    for name in ("fake_blend_london.jpg", "fake_blend_congress.jpg", "fake_upsampled_london.jpg"):
        shutil.copy(EXAMPLES / name, root / "pictures" / name)
    store = root / "store"
    store.mkdir()
    pictures = read_pictures(root / "pictures")
    write_home(store, root / "pictures")
    write_queue(store, extended([], "random", [(picture, None) for picture in pictures]))
    return store


@contextmanager
def served(settings: ServerSettings, store: Store) -> Iterator[str]:
    """The service in a thread; gives its address."""
    config = uvicorn.Config(create_app(settings, store), port=settings.port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{settings.port}"
    finally:
        server.should_exit = True
        thread.join()
        store.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, annotations: Path
) -> Iterator[Site]:
    """The service, with its worker in a process."""
    settings = ServerSettings.of(
        data=tmp_path_factory.mktemp("service"),
        model=str(checkpoint),
        device="cpu",
        max_frames=6,
        jobs=1,
        port=free_port(),
        annotations=annotations,
        rate_per_minute=100_000,
        lease_s=300.0,
    )
    with served(settings, open_store(settings)) as address:
        worker = subprocess.Popen(
            [sys.executable, "-m", "unmask.apps.server.worker"],
            env={**os.environ, "UNMASK_SERVER_SETTINGS": settings.model_dump_json()},
            stdin=subprocess.DEVNULL,
        )
        try:
            yield Site(address, annotations, worker, Path(str(database_url(settings).database)))
        finally:
            worker.kill()
            worker.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def window(browser: Any, site: Site) -> Iterator[Window]:
    """Fails the test where a page asked another host, or wrote an error to the console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    made = Window(page, site)
    context.on("request", lambda request: made.asked.append(request.url))
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: message.type == "error" and made.complaints.append(message.text),
    )
    yield made
    context.close()
    allowed = (site.address, "data:", f"blob:{site.address}")
    assert made.asked
    assert [url for url in made.asked if not url.startswith(allowed)] == []
    assert made.complaints == []


@pytest.fixture(scope="module")
def analysed(browser: Any, site: Site) -> Callable[[Path], str]:
    """The result page of a file, uploaded once."""
    known: dict[Path, str] = {}

    def upload(file: Path) -> str:
        if file not in known:
            page = browser.new_page()
            page.goto(site.address)
            page.set_input_files("#files", file)
            page.click("#start")
            page.wait_for_url("**/results/*", timeout=PATIENCE_MS)
            known[file] = page.url.removeprefix(site.address)
            page.close()
        return known[file]

    return upload


@contextmanager
def painting(window: Window, name: str, pictures: Path | None = None) -> Iterator[str]:
    """The Annotate page with the next open picture, of `pictures`; gives its SHA-256."""
    window.go("/annotate")
    window.page.wait_for_selector("#queue [aria-current]")
    window.page.wait_for_selector("text=: open.")
    window.page.fill("#who", name)
    window.page.locator("#canvas").scroll_into_view_if_needed()
    shown = window.page.locator("#queue [aria-current] bdi").inner_text()
    known = read_pictures(pictures or window.site.annotations.parent / "pictures")
    yield next(picture.sha256 for picture in known if picture.path == shown)


def on_screen(window: Window, x: float, y: float) -> tuple[float, float]:
    """Where a place of the fitted picture, as shares of its sides, is on the screen."""
    box = window.page.locator("#canvas").bounding_box()
    said = window.say("state")
    width, height = (int(word) for word in said.split(",")[1].split("pixels")[0].split("×"))
    scale = 0.97 * min(box["width"] / width, box["height"] / height)
    left = box["x"] + (box["width"] - width * scale) / 2
    top = box["y"] + (box["height"] - height * scale) / 2
    return left + x * width * scale, top + y * height * scale


def conflict_noise(window: Window) -> str:
    """The browser's own line about the 409 that was wanted."""
    return next(text for text in window.complaints if "409" in text)


def violations(window: Window) -> list[str]:
    """What axe-core calls serious or critical on the page as it is."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core is not installed (axe-playwright-python of the dev extra)")
    script = Path(spec.origin).with_name("axe.min.js").read_text("utf-8")
    window.page.evaluate(script + "; undefined")
    found = window.page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
