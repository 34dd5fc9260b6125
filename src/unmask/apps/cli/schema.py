"""`unmask schema`: the JSON Schema of what the other commands write."""

from __future__ import annotations

import json

import click

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@click.command()
@click.argument("kind", type=click.Choice(["result"]), default="result")
def schema(kind: str) -> None:
    """Print the JSON Schema of the results.

    It describes one line of what `unmask scan --out results.jsonl` writes.
    """
    from unmask.results import Result

    document = {"$schema": DIALECT, **Result.model_json_schema(by_alias=True)}
    click.echo(json.dumps(document, indent=2))
