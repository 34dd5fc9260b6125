"""The command `unmask`: one file per command, each loaded only when it is called."""

from __future__ import annotations

import sys

import click

from unmask import __version__
from unmask.apps.cli.group import CommandGroup


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unmask", message="%(prog)s %(version)s")
def app() -> None:
    """Tell manipulated faces from real ones, and show why."""


def main() -> None:
    """Entry point: runs the command line and ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal in another encoding must not stop a scan
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="unmask")
