"""Tokens and browser sessions. Their secrets are not kept, only what tells them again."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from unmask.apps.server.contract import SCOPES, Token, new_id
from unmask.apps.server.store.database import Database
from unmask.apps.server.store.rows import storable, to_token, token_works
from unmask.apps.server.store.schema import sessions, tokens
from unmask.errors import ConfigError

_PREFIX = "unmask_"
_SECRET_BYTES = 32


def _digest(secret: str) -> str:
    """A plain hash is enough: the secret is random, there is no list to try.

    Looked up by this digest, nothing of the secret shows in how long the answer takes.
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Tokens:
    """`unmask.apps.server.contract.TokenStore` in a database."""

    database: Database

    def create(
        self, name: str, scopes: Collection[str], expires: datetime | None = None
    ) -> tuple[Token, str]:
        """See `unmask.apps.server.contract.TokenStore.create`."""
        now = self.database.now()
        _check(name, scopes, expires, now)
        secret = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        token = Token(new_id(), storable(name.strip()), frozenset(scopes), now, expires, False)
        with self.database.writing() as connection:
            connection.execute(
                tokens.insert().values(
                    id=token.id,
                    secret_sha256=_digest(secret),
                    name=token.name,
                    scopes=" ".join(sorted(scopes)),
                    created=now,
                    expires=expires,
                )
            )
        return token, secret

    def check(self, secret: str) -> Token | None:
        """See `unmask.apps.server.contract.TokenStore.check`."""
        query = select(tokens).where(
            tokens.c.secret_sha256 == _digest(secret), token_works(self.database.now())
        )
        with self.database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else to_token(row)

    def are_there(self) -> bool:
        """See `unmask.apps.server.contract.TokenStore.are_there`."""
        any_left = select(tokens.c.seq).where(~tokens.c.revoked).limit(1)
        with self.database.reading() as connection:
            return connection.execute(any_left).first() is not None

    def all(self) -> list[Token]:
        """See `unmask.apps.server.contract.TokenStore.all`."""
        with self.database.reading() as connection:
            rows = connection.execute(select(tokens).order_by(tokens.c.seq)).all()
        return [to_token(row) for row in rows]

    def revoke(self, id: str) -> bool:
        """See `unmask.apps.server.contract.TokenStore.revoke`."""
        with self.database.writing() as connection:
            mine = update(tokens).where(tokens.c.id == storable(id), ~tokens.c.revoked)
            ended = connection.execute(mine.values(revoked=True)).rowcount > 0
            connection.execute(delete(sessions).where(sessions.c.token == storable(id)))
        return ended


def _check(name: str, scopes: Collection[str], expires: datetime | None, now: datetime) -> None:
    known = f"Scopes: {', '.join(SCOPES)}."
    if not name.strip():
        raise ConfigError("A token needs a name.", "Name it after who or what will use it.")
    if isinstance(scopes, str) or not scopes:
        raise ConfigError("A token needs a set of scopes.", known)
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise ConfigError(f"There is no scope {', '.join(unknown)}.", known)
    if expires is not None and expires <= now:
        raise ConfigError(f"The token would have ended at {expires}.", "Give a time to come.")


@dataclass(frozen=True, slots=True)
class Sessions:
    """`unmask.apps.server.contract.SessionStore` in a database."""

    database: Database

    def open(self, token: str, *, expires: datetime) -> str:
        """See `unmask.apps.server.contract.SessionStore.open`."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        query = select(tokens.c.id).where(
            tokens.c.id == storable(token), token_works(self.database.now())
        )
        with self.database.writing() as connection:
            # Locked, so that a revocation at this moment finds the session or prevents it.
            if connection.execute(query.with_for_update()).one_or_none() is None:
                raise ValueError(f"there is no valid token {token}")
            row = {"secret_sha256": _digest(secret), "token": token, "expires": expires}
            connection.execute(sessions.insert().values(row))
        return secret

    def check(self, secret: str) -> Token | None:
        """See `unmask.apps.server.contract.SessionStore.check`."""
        now = self.database.now()
        query = (
            select(tokens)
            .join(sessions, sessions.c.token == tokens.c.id)
            .where(
                sessions.c.secret_sha256 == _digest(secret),
                sessions.c.expires > now,
                token_works(now),
            )
        )
        with self.database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else to_token(row)

    def close(self, secret: str) -> bool:
        """See `unmask.apps.server.contract.SessionStore.close`."""
        mine = delete(sessions).where(sessions.c.secret_sha256 == _digest(secret))
        with self.database.writing() as connection:
            return connection.execute(mine).rowcount > 0
