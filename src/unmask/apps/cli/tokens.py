"""`unmask tokens`: who may use the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.apps.cli.serve import data_option, require_extra
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.apps.server.contract import Store, Token

SCOPES = ("analyse", "read", "annotate", "metrics")
DEFAULT_SCOPES = ("analyse", "read")


@click.group()
def tokens() -> None:
    """Make, list and revoke the service's tokens."""


@tokens.command()
@click.argument("name")
@data_option
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=DEFAULT_SCOPES,
    show_default=True,
    help="What it allows; once for each.",
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True),
              help="Time until it expires.  [never]")  # fmt: skip
def create(
    name: str, data: Path, database: str | None, scopes: tuple[str, ...], days: float | None
) -> None:
    """Make a token; its secret goes to standard output, this once.

    NAME says whose it is.
    """
    with _store(data, database) as store:
        expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
        token, secret = store.tokens.create(name, scopes, expires)
        store.audit.record(
            who="command line", action="token.create", subject=token.id, outcome="done",
            address=None,
        )  # fmt: skip
    click.echo(secret)
    click.echo(
        f"Token {token.id} for {token.name}: {', '.join(sorted(token.scopes))}. "
        "Keep the secret; it is not shown again.",
        err=True,
    )


@tokens.command("list")
@data_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def listed(data: Path, database: str | None, as_json: bool) -> None:
    """List all tokens, revoked and expired ones too."""
    with _store(data, database) as store:
        found = store.tokens.all()
    if as_json:
        click.echo(json.dumps([_plain(token) for token in found], indent=2))
        return
    for token in found:
        scopes = ",".join(sorted(token.scopes))
        click.echo(f"{token.id}  {_state(token):<26}  {scopes:<14}  {token.name}")
    if not found:
        click.echo("No tokens. Make one with: unmask tokens create NAME", err=True)


@tokens.command()
@click.argument("id")
@data_option
def revoke(id: str, data: Path, database: str | None) -> None:
    """End a token and the browser sessions it opened.

    ID is as in the list.
    """
    with _store(data, database) as store:
        done = store.tokens.revoke(id)
        if not done:
            raise ConfigError(
                f"There is no token {id} to revoke.", "unmask tokens list shows all of them."
            )
        store.audit.record(
            who="command line", action="token.revoke", subject=id, outcome="done", address=None
        )
    click.echo(f"Token {id} is revoked.", err=True)


@contextmanager
def _store(data: Path, database: str | None) -> Iterator[Store]:
    require_extra("unmask tokens", {"sqlalchemy": "sqlalchemy"})
    from unmask.apps.server.settings import ServerSettings
    from unmask.apps.server.store import open_store

    store = open_store(ServerSettings.of(data=data, database=database))
    try:
        yield store
    finally:
        store.close()


def _state(token: Token) -> str:
    if token.revoked:
        return "revoked"
    if token.expires is None:
        return "valid"
    when = "expired" if token.expires <= datetime.now(UTC) else "valid until"
    return f"{when} {token.expires:%Y-%m-%d %H:%M}"


def _plain(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "created": token.created.isoformat(),
        "expires": token.expires and token.expires.isoformat(),
        "revoked": token.revoked,
    }
