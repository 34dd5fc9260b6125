"""The group of commands: loads one on demand, and turns every error into words and a code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback

import click

from unmask.errors import UnmaskError

COMMANDS = {
    "scan": "Look for manipulated faces in pictures and videos.",
    "verify": "Check that recorded results can be repeated.",
    "calibrate": "Fit the thresholds to real pictures and clips of one's own.",
    "prepare": "Cut the faces out of a data set, once.",
    "synthesize": "Make forgeries with exact masks from real faces.",
    "annotate": "Choose pictures for masks, hand them out, take masks in.",
    "train": "Train a model.",
    "fuse": "Put trained models together into one.",
    "evaluate": "Score a protocol, or audit an index for leaks.",
    "benchmark": "Train and test models side by side.",
    "serve": "Run the HTTP service and the web app.",
    "tokens": "Make, list and revoke the service's tokens.",
    "models": "List and describe models.",
    "doctor": "Say what is installed and works.",
    "schema": "Print the JSON Schema of the results.",
}
"""Name of each command, which is also its module and its object there, and its help in one line."""

FAULT = "This is a fault in unmask: UNMASK_DEBUG=1 shows where. Please report it."
INTERNAL_ERROR = 70
INTERRUPTED = 130
BROKEN_PIPE = 141


class CommandGroup(click.Group):
    """Imports a command's module when it is called; listing the commands imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"unmask.apps.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what it raises becomes a message on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except UnmaskError as error:
            _say(str(error))
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # the reader of our output has left: not worth a message, and nothing more to flush
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # lives as long as the process
            ctx.exit(BROKEN_PIPE)
        except KeyboardInterrupt:
            _say("interrupted.")
            ctx.exit(INTERRUPTED)
        except Exception as error:  # a traceback would end with 1, which means --fail-on
            _say(f"{type(error).__name__}: {error}")
            click.echo(
                "  This is a fault in unmask: UNMASK_DEBUG=1 shows where. Please report it.",
                err=True,
            )
            ctx.exit(INTERNAL_ERROR)


def _say(text: str) -> None:
    """Write an error for a person; with UNMASK_DEBUG=1 also where it came from."""
    if os.environ.get("UNMASK_DEBUG", "0") not in ("", "0"):
        traceback.print_exc()
    click.echo(f"unmask: {text}", err=True)
