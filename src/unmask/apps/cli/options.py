"""Options that several commands have."""

from __future__ import annotations

import click

from unmask.apps.cli import backend

model = click.option(
    "--model",
    default=backend.DEFAULT_MODEL,
    show_default=True,
    help="Name of a packaged model, or a .safetensors file.",
)
device = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps, openvino."
)
jobs = click.option(
    "--jobs", type=click.IntRange(min=1), help="Decoding processes.  [half the cores]"
)
