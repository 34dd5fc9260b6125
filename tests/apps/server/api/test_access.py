from __future__ import annotations

import logging
from typing import Any

import pytest

from unmask.apps.server.api.callers import OPEN_S
from unmask.apps.server.api.gate import POLICY
from unmask.apps.server.api.service import AUDITED_PER_MINUTE, FAILED_LOGINS_PER_MINUTE

READ = "/v1/analyses"


def kind(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"]).rpartition(":")[2]


def test_on_loopback_without_tokens_the_local_user_may_all(bench: Any) -> None:
    id = bench.submitted()
    assert bench.store.jobs.job(id).owner == "local"
    assert bench.client.get("/metrics").status_code == 200


def test_on_another_address_nobody_may_without_a_token(make_bench: Any) -> None:
    bench = make_bench(host="0.0.0.0")
    answer = bench.client.get(READ)
    assert (answer.status_code, kind(answer)) == (401, "unauthorised")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_with_a_token_in_the_store_it_is_needed_until_it_is_revoked(bench: Any) -> None:
    id, known = bench.token("read")
    assert bench.client.get(READ).status_code == 401
    assert known.get(READ).status_code == 200
    bench.store.tokens.revoke(id)
    assert known.get(READ).status_code == 401
    assert bench.client.get(READ).status_code == 200


def test_the_local_user_is_shut_out_within_a_second_of_the_first_token(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    tokens = type(bench.store.tokens)
    real = tokens.are_there

    def counted(self: Any) -> bool:
        asked.append(1)
        return bool(real(self))

    monkeypatch.setattr(tokens, "are_there", counted)
    for _ in range(3):
        assert bench.client.get(READ).status_code == 200
    assert len(asked) == 1
    bench.token("read")
    bench.clock.pass_by(OPEN_S)
    for _ in range(3):
        assert bench.client.get(READ).status_code == 401
    assert len(asked) == 4  # nobody is kept out for longer than there is a token
    bench.clock.pass_by(-3600)
    assert bench.client.get(READ).status_code == 401


def test_a_clock_set_back_does_not_keep_the_service_open(bench: Any) -> None:
    assert bench.client.get(READ).status_code == 200
    bench.token("read")
    bench.clock.pass_by(-1)
    assert bench.client.get(READ).status_code == 401


@pytest.mark.parametrize("value", ["Bearer unmask_wrong", "Bearer", "Basic dTpw", "unmask_x", ""])
def test_wrong_credentials_never_pass(bench: Any, value: str) -> None:
    assert bench.browse(Authorization=value).get(READ).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/analyses", "read"),
        ("POST", "/v1/analyses", "analyse"),
        ("POST", "/v1/batches", "analyse"),
        ("DELETE", f"/v1/analyses/{'0' * 32}", "analyse"),
        ("GET", "/v1/limits", "read"),
        ("GET", "/metrics", "metrics"),
    ],
)
def test_each_scope_opens_only_its_own(bench: Any, method: str, path: str, scope: str) -> None:
    _, without = bench.token(*({"read", "analyse", "metrics"} - {scope}))
    _, having = bench.token(scope)
    refused = without.request(method, path)
    assert (refused.status_code, kind(refused)) == (403, "forbidden")
    assert scope in refused.json()["detail"]
    assert having.request(method, path).status_code not in (401, 403)


def test_the_file_of_somebody_without_the_right_is_not_read(bench: Any) -> None:
    _, reader = bench.token("read")
    assert reader.post(READ, files={"file": ("a.png", bench.png)}).status_code == 403
    assert bench.uploads() == []


def test_a_session_stands_for_its_token(bench: Any) -> None:
    token, secret = bench.store.tokens.create("desk", ["read"])
    answer = bench.client.post("/login", json={"token": secret})
    assert answer.json()["scopes"] == ["read"]
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert secret not in answer.headers["set-cookie"]
    assert bench.client.get(READ).status_code == 200
    kept = bench.client.cookies["unmask_session"]
    assert bench.client.post("/logout").status_code == 204
    assert "unmask_session" not in bench.client.cookies
    assert bench.browse(Cookie=f"unmask_session={kept}").get(READ).status_code == 401
    done = [entry for entry in bench.audit() if entry[0] == token.id]
    assert done == [(token.id, "log in", "session opened"), (token.id, "log out", "session closed")]


@pytest.mark.parametrize("behind_tls", [False, True])
def test_cookies_are_secure_behind_a_proxy_that_ends_tls(make_bench: Any, behind_tls: bool) -> None:
    bench = make_bench(behind_tls=behind_tls)
    _, secret = bench.store.tokens.create("desk", ["read"])
    answer = bench.client.post("/login", json={"token": secret})
    assert ("; secure" in answer.headers["set-cookie"].lower()) == behind_tls


def test_a_session_ends_with_its_time_and_with_its_token(bench: Any) -> None:
    token, secret = bench.store.tokens.create("desk", ["read"])
    bench.client.post("/login", json={"token": secret})
    bench.clock.pass_by(12 * 3600 + 1)
    assert bench.client.get(READ).status_code == 401
    bench.client.post("/login", json={"token": secret})
    assert bench.client.get(READ).status_code == 200
    bench.store.tokens.create("other", ["read"])  # so that the service stays closed
    bench.store.tokens.revoke(token.id)
    assert bench.client.get(READ).status_code == 401


def test_an_old_cookie_does_not_lock_the_local_user_out(bench: Any) -> None:
    assert bench.browse(Cookie="unmask_session=old").get(READ).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"token": "unmask_wrong"}', 401),
        (b'{"token": ""}', 422),
        (b'{"token": 7}', 422),
        (b'{"token": "a", "more": 1}', 422),
        (b"\xff\xfe", 422),
        (b"[" * 4000, 422),
        (b'{"token": "' + b"a" * 5000 + b'"}', 413),
    ],
)
def test_odd_logins_are_refused(bench: Any, body: bytes, status: int) -> None:
    answer = bench.client.post("/login", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


def test_a_login_must_be_json_as_forms_of_other_sites_are_not(bench: Any) -> None:
    assert bench.client.post("/login", data={"token": "x"}).status_code == 415


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(bench: Any) -> None:
    _, known = bench.token("read")
    wrong = bench.browse(Authorization="Bearer unmask_wrong")
    codes = [wrong.get(READ).status_code for _ in range(FAILED_LOGINS_PER_MINUTE + 1)]
    assert codes == [401] * FAILED_LOGINS_PER_MINUTE + [429]
    assert bench.client.post("/login", json={"token": "unmask_wrong"}).status_code == 429
    assert known.get(READ).status_code == 200
    bench.clock.pass_by(60)
    assert wrong.get(READ).status_code == 401


def test_requests_are_limited_per_token(make_bench: Any) -> None:
    bench = make_bench(rate_per_minute=2)
    _, one = bench.token()
    _, other = bench.token()
    assert [one.get(READ).status_code for _ in range(3)] == [200, 200, 429]
    refused = one.get(READ)
    assert (kind(refused), refused.headers["retry-after"]) == ("rate-limited", "30")
    assert other.get(READ).status_code == 200
    bench.clock.pass_by(30)
    assert [one.get(READ).status_code for _ in range(2)] == [200, 429]


def test_uploads_count_and_are_not_read_beyond_the_limit(make_bench: Any) -> None:
    bench = make_bench(rate_per_minute=1)
    assert [bench.send().status_code for _ in range(2)] == [202, 429]
    assert len(bench.uploads()) == 1


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8000", True),
        ("localhost:8000", True),
        ("LOCALHOST", True),
        ("[::1]:8000", True),
        ("evil.example", False),
        ("evil.example:8000", False),
        ("localhost.evil.example", False),
        ("evil.example@localhost", False),
        ("localhost/evil", False),
        ("localhost:port", False),
        ("", False),
    ],
)
def test_only_known_host_names_are_answered(bench: Any, host: str, passes: bool) -> None:
    answer = bench.client.get("/healthz", headers={"Host": host})
    if passes:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, kind(answer)) == (400, "unknown-host")


def test_named_hosts_are_answered(make_bench: Any) -> None:
    bench = make_bench(allowed_hosts=("Forensics.example",))
    codes = [
        bench.client.get("/healthz", headers={"Host": host}).status_code
        for host in ("forensics.example", "other.example")
    ]
    assert codes == [200, 400]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_sites_change_nothing(bench: Any, headers: dict[str, str]) -> None:
    id = bench.submitted()
    for method, path in (
        ("POST", "/v1/analyses"),
        ("POST", f"/v1/analyses/{id}/cancel"),
        ("DELETE", f"/v1/analyses/{id}"),
        ("POST", "/login"),
    ):
        answer = bench.client.request(method, path, headers=headers)
        assert (answer.status_code, kind(answer)) == (403, "cross-origin")
    assert bench.client.get(f"/v1/analyses/{id}").json()["state"] == "queued"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_own_pages_and_programs_may(bench: Any, headers: dict[str, str]) -> None:
    assert bench.client.post("/v1/batches", headers=headers).status_code == 202


def test_other_sites_may_link_to_a_report_but_not_embed_it(bench: Any) -> None:
    path = f"/v1/analyses/{bench.analysed()}/report.html"
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert bench.client.get(path, headers={**cross, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert (
        bench.client.get(path, headers={**cross, "Sec-Fetch-Mode": "navigate"}).status_code == 202
    )


@pytest.mark.parametrize(
    "path", ["/healthz", "/docs", "/openapi.json", "/v1/nowhere", "/v1/limits"]
)
def test_every_answer_has_the_headers(bench: Any, path: str) -> None:
    headers = bench.client.get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert "default-src 'none'" in POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_changes_are_audited(bench: Any) -> None:
    first, second = bench.submitted(), bench.submitted()
    bench.client.post(f"/v1/analyses/{first}/cancel")
    bench.client.delete(f"/v1/analyses/{second}")
    batch = bench.client.post("/v1/batches").json()
    bench.client.delete(batch["links"]["self"])
    assert bench.audit() == [
        ("local", "submit", "queued"),
        ("local", "submit", "queued"),
        ("local", "cancel", "cancelled"),
        ("local", "delete", "deleted"),
        ("local", "open batch", "0 queued"),
        ("local", "delete batch", "deleted"),
    ]


def test_refused_attempts_are_audited(bench: Any) -> None:
    id, reader = bench.token("read")
    reader.post("/v1/batches")
    bench.client.get(READ)
    bench.client.post("/v1/batches", headers={"Origin": "http://evil.example"})
    bench.client.get("/healthz", headers={"Host": "evil.example"})
    assert bench.audit() == [
        (id, "POST /v1/batches", "refused: forbidden"),
        ("-", "GET /v1/analyses", "refused: unauthorised"),
        ("-", "POST", "refused: cross-origin"),
        ("-", "GET", "refused: unknown-host"),
    ]


def test_a_flood_of_refusals_does_not_fill_the_audit_log(bench: Any) -> None:
    for _ in range(AUDITED_PER_MINUTE + 5):
        bench.client.post("/v1/batches", headers={"Origin": "null"})
    assert len(bench.audit()) == AUDITED_PER_MINUTE


def test_logs_hold_neither_secrets_nor_names(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, secret = bench.store.tokens.create("desk", ["read", "analyse"])
    known = bench.browse(Authorization=f"Bearer {secret}")
    known.post(READ, files={"file": ("private-name.png", bench.png)})
    known.post(READ, files={"file": ("private-name.png", b"no picture")})
    known.post("/login", json={"token": secret})
    known.post("/login?private-name", json={"token": secret + "x"})
    own = [r.getMessage() for r in caplog.records if r.name.startswith(("unmask", "python_multi"))]
    assert any("POST /v1/analyses 202" in line for line in own)
    assert not any("private-name" in line or "unmask_" in line for line in own)
