"""`unmask doctor`: what is installed, and whether it works when tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool) -> None:
    """Say what is installed and works.

    Decoders are tried on pictures and a clip made for the purpose, weights are hashed and loaded.
    Ends with 0 when scanning works, 1 when it does not.
    """
    from unmask.apps.cli.checkup import CHECKS, Finding, examine

    findings: list[Finding] = []
    for check in CHECKS:
        new = examine(check)
        findings += new
        if not as_json:
            for finding in new:
                _show(finding, click.echo)
    healthy = all(finding.ok is not False for finding in findings)
    if as_json:
        document = {"healthy": healthy, "checks": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(document, indent=2))
    else:
        words = "Scanning works." if healthy else "Scanning does not work: see FAILS."
        click.echo(words, err=True)
    ctx.exit(0 if healthy else 1)


def _show(finding: object, echo: Callable[[str], None]) -> None:
    from unmask.apps.cli.checkup import Finding

    assert isinstance(finding, Finding)
    word = {True: "ok", False: "FAILS", None: "-"}[finding.ok]
    echo(f"{word:<5}  {finding.name:<22}  {finding.detail}")
    if finding.hint:
        echo(f"{'':<31}{finding.hint}")
