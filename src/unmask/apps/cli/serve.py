"""`unmask serve`: the HTTP service, its web app and its workers."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.apps.cli import options
from unmask.apps.cli.backend import DEFAULT_FRAMES
from unmask.errors import MissingExtraError

if TYPE_CHECKING:
    from types import FrameType

    from unmask.apps.server.settings import ServerSettings

DEFAULT_DATA = Path("unmask-data")
EXTRA = {
    "fastapi": "fastapi",
    "multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
    "sqlalchemy": "sqlalchemy",
    "uvicorn": "uvicorn",
}
"""Modules of the extra `serve`, and the packages they come in."""
MIB = 2**20
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
INTERRUPTED = 130

EPILOG = """\b
Exit codes:
  130  ended with Ctrl-C; jobs stay, and go on when the service is started again
    2  the command line or the configuration cannot work
    0  ended with SIGTERM
  (70  a fault in unmask)"""


def data_option(function: Any) -> Any:
    """`--data` and `--database`: where the store is."""
    function = click.option(
        "--database", metavar="URL", help="postgresql://... instead of a file in --data."
    )(function)
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_DATA,
        show_default=True,
        help="Folder for uploads, evidence and the database.",
    )(function)


def require_extra(command: str, modules: dict[str, str] = EXTRA) -> None:
    """Say what is missing for the service.

    Raises:
        MissingExtraError: one of the modules is not installed.
    """
    for module, package in modules.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(command, "serve", package)


@click.command(epilog=EPILOG)
@data_option
@click.option("--host", help="Address to listen on; others than loopback need a token.")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes any free one.  [8000]")
@click.option("--allowed-host", "allowed_hosts", multiple=True, metavar="NAME",
              help="A name under which browsers reach the service.")  # fmt: skip
@click.option("--behind-tls", is_flag=True,
              help="A proxy in front ends TLS: mark cookies as Secure.")  # fmt: skip
@click.option(
    "--role",
    type=click.Choice(["all", "api", "worker"]),
    default="all",
    show_default=True,
    help="Answer requests, work on jobs, or both.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [1]")
@click.option("--jobs", type=click.IntRange(min=1),
              help="Decoding processes per worker.  [half the cores]")  # fmt: skip
@options.model
@options.device
@click.option("--calibration", type=click.Path(path_type=Path, dir_okay=False),
              help="Thresholds of `unmask calibrate` instead of the model's own.")  # fmt: skip
@click.option(
    "--max-frames",
    type=click.IntRange(min=1),
    default=DEFAULT_FRAMES,
    show_default=True,
    help="Most frames to look at in a video, spread evenly.",
)
@click.option("--max-upload", type=click.FloatRange(min=0, min_open=True), metavar="MB",
              help="Largest upload, in units of 2^20 bytes.  [512]")  # fmt: skip
@click.option("--uploads", type=click.IntRange(min=1), metavar="N",
              help="Most uploads received at a time.  [32]")  # fmt: skip
@click.option("--retention", type=click.FloatRange(min=0, min_open=True), metavar="HOURS",
              help="Time from a job's end until it is deleted.  [24]")  # fmt: skip
@click.option("--audit-retention", type=click.FloatRange(min=0, min_open=True), metavar="DAYS",
              help="Time until an entry of the audit log is deleted.  [365]")  # fmt: skip
@click.option("--queue", type=click.IntRange(min=1), metavar="N",
              help="Most jobs that may wait.  [256]")  # fmt: skip
@click.option("--rate", type=click.IntRange(min=1), metavar="N",
              help="Requests per minute and token or address.  [120]")  # fmt: skip
@click.option(
    "--annotations",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of an annotation project, for the Annotate page.",
)
@click.pass_context
def serve(ctx: click.Context, /, role: str, **given: Any) -> None:
    """Run the HTTP service and the web app.

    Uploads are judged by worker processes and deleted after the retention time. Jobs survive a
    restart. Everything is kept in the folder --data. Messages go to standard error.
    """
    require_extra("unmask serve")
    settings = _settings(role, given)
    with _stop_signals() as told:
        from unmask.apps.server.worker.serving import serve as run

        run(settings, api=role != "worker", say=_say, told=told.__len__)
    ctx.exit(INTERRUPTED if told and told[0] == signal.SIGINT else 0)


def _settings(role: str, given: dict[str, Any]) -> ServerSettings:
    """The settings, with those that are given instead of the defaults."""
    from unmask.apps.server.settings import ServerSettings

    factors = {
        "max_upload": ("max_upload_bytes", MIB),
        "retention": ("retention_s", HOUR_S),
        "audit_retention": ("audit_retention_s", DAY_S),
    }
    names = {"uploads": "max_uploads", "queue": "queue_limit", "rate": "rate_per_minute"}
    values: dict[str, Any] = {}
    for option, value in given.items():
        if value is None:
            continue
        if option in factors:
            name, factor = factors[option]
            values[name] = max(1, round(value * factor))
        else:
            values[names.get(option, option)] = value
    if role == "api":
        values["workers"] = 0
    return ServerSettings.of(**values)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Take note of SIGINT and SIGTERM; a second Ctrl-C ends at once, as without this."""
    told: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(f"unmask: {text}", file=sys.stderr, flush=True)
