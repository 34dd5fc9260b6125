"""Tokens, browser sessions and the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from unmask.apps.server.contract import AuditEntry
from unmask.errors import ConfigError

DAY = timedelta(days=1)


def raw(bench: Any) -> bytes:
    """All that the SQLite files hold; nothing for PostgreSQL."""
    return b"".join(path.read_bytes() for path in bench.settings.data.glob("service.db*"))


def test_a_token_is_told_by_its_secret(bench: Any) -> None:
    token, secret = bench.store.tokens.create(" news desk ", {"read", "analyse"})
    assert secret.startswith("unmask_")
    assert len(secret) == len("unmask_") + 43
    assert (token.name, token.scopes) == ("news desk", {"read", "analyse"})
    assert (token.created, token.expires, token.revoked) == (bench.clock(), None, False)
    assert bench.store.tokens.check(secret) == token
    assert bench.store.tokens.all() == [token]


@pytest.mark.parametrize("wrong", ["", "unmask_", "\0", "half\ud800"])
def test_another_secret_is_no_token(bench: Any, wrong: str) -> None:
    _, secret = bench.store.tokens.create("desk", {"read"})
    assert bench.store.tokens.check(wrong) is None
    assert bench.store.tokens.check(secret + "a") is None
    assert bench.store.tokens.check(secret.lower()) is None


def test_secrets_are_not_kept(bench: Any) -> None:
    token, secret = bench.store.tokens.create("desk of news", {"read"})
    cookie = bench.store.sessions.open(token.id, expires=bench.clock() + DAY)
    kept = raw(bench)
    assert bench.settings.database is not None or b"desk of news" in kept
    assert secret.removeprefix("unmask_").encode() not in kept
    assert cookie.encode() not in kept


def test_a_token_ends_when_it_is_revoked(bench: Any) -> None:
    token, secret = bench.store.tokens.create("desk", {"read"})
    assert bench.store.tokens.revoke(token.id)
    assert bench.store.tokens.check(secret) is None
    assert not bench.store.tokens.revoke(token.id)
    assert not bench.store.tokens.revoke("nul\0")
    assert [known.revoked for known in bench.store.tokens.all()] == [True]


def test_it_is_known_whether_a_token_is_there(bench: Any) -> None:
    assert not bench.store.tokens.are_there()
    first, _ = bench.store.tokens.create("desk", {"read"}, bench.clock() + DAY)
    second, _ = bench.store.tokens.create("other", {"read"})
    assert bench.store.tokens.revoke(second.id)
    bench.clock.forward(2 * DAY.total_seconds())  # expired, but somebody wanted it
    assert bench.store.tokens.are_there()
    assert bench.store.tokens.revoke(first.id)
    assert not bench.store.tokens.are_there()


def test_a_token_ends_when_its_time_is_over(bench: Any) -> None:
    _, secret = bench.store.tokens.create("desk", {"read"}, bench.clock() + DAY)
    bench.clock.forward(DAY.total_seconds() - 1)
    assert bench.store.tokens.check(secret) is not None
    bench.clock.forward(1)
    assert bench.store.tokens.check(secret) is None


@pytest.mark.parametrize(
    ("name", "scopes", "words"),
    [
        (" ", {"read"}, "needs a name"),
        ("desk", set(), "needs a set of scopes"),
        ("desk", "read", "needs a set of scopes"),
        ("desk", {"read", "rule"}, "no scope rule"),
    ],
)
def test_a_token_that_cannot_be_is_refused(bench: Any, name: str, scopes: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        bench.store.tokens.create(name, scopes)
    assert bench.store.tokens.all() == []


def test_a_token_cannot_have_ended_before(bench: Any) -> None:
    with pytest.raises(ConfigError, match="time to come"):
        bench.store.tokens.create("desk", {"read"}, bench.clock())


def test_a_session_stands_for_its_token(bench: Any) -> None:
    token, secret = bench.store.tokens.create("desk", {"read"})
    cookie = bench.store.sessions.open(token.id, expires=bench.clock() + DAY)
    assert bench.store.sessions.check(cookie) == token
    assert bench.store.sessions.check(secret) is None
    assert bench.store.tokens.check(cookie) is None
    assert bench.store.sessions.close(cookie)
    assert not bench.store.sessions.close(cookie)
    assert bench.store.sessions.check(cookie) is None


def test_a_session_ends_with_its_time_or_its_token(bench: Any) -> None:
    token, _ = bench.store.tokens.create("desk", {"read"})
    short = bench.store.sessions.open(token.id, expires=bench.clock() + DAY)
    long = bench.store.sessions.open(token.id, expires=bench.clock() + 9 * DAY)
    bench.clock.forward(DAY.total_seconds())
    assert bench.store.sessions.check(short) is None
    assert bench.store.sessions.check(long) == token
    bench.store.tokens.revoke(token.id)
    assert bench.store.sessions.check(long) is None
    assert not bench.store.sessions.close(long)


def test_a_session_does_not_outlive_its_token(bench: Any) -> None:
    token, _ = bench.store.tokens.create("desk", {"read"}, bench.clock() + DAY)
    cookie = bench.store.sessions.open(token.id, expires=bench.clock() + 9 * DAY)
    bench.clock.forward(DAY.total_seconds())
    assert bench.store.sessions.check(cookie) is None
    with pytest.raises(ValueError, match="no valid token"):
        bench.store.sessions.open(token.id, expires=bench.clock() + DAY)


def test_there_is_no_session_without_a_token(bench: Any) -> None:
    with pytest.raises(ValueError, match="no valid token"):
        bench.store.sessions.open("0" * 32, expires=bench.clock() + DAY)


def test_the_log_gives_the_latest_first(bench: Any) -> None:
    start = bench.clock()
    for n in range(3):
        bench.store.audit.record(
            who="ann", action="submit", subject=f"job{n}", outcome="202", address="127.0.0.1"
        )
        bench.clock.forward(1)
    bench.store.audit.record(who="a\0", action="x", subject="\ud800", outcome="", address=None)
    latest, *rest = bench.store.audit.entries(limit=3)
    assert latest.address is None
    assert [entry.subject for entry in rest] == ["job2", "job1"]
    first = AuditEntry(start, "ann", "submit", "job0", "202", "127.0.0.1")
    assert bench.store.audit.entries()[-1] == first
