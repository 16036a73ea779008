"""Credentials, sessions and other sites: what attackers try."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from production_server.access.policy import Scope
from production_server.web.access import CLIENT, SESSION
from tests.unit.production_server.web.callers import bearer
from tests.unit.production_server.web.fronts import Exchange
from tests.unit.production_server.web.sites import CSV, ROWS, Site

REFUSED = {401, 403}


# Credentials


def test_a_token_counts_as_bearer_and_as_the_password_of_basic(token_site: Site) -> None:
    plain = token_site.tokens["operate"]["Authorization"].removeprefix("Bearer ")
    basic = base64.b64encode(f"anyone:{plain}".encode()).decode()
    for header in (f"Bearer {plain}", f"bearer {plain}", f"Basic {basic}"):
        client = token_site.client()
        assert client.get("/metrics", headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic", "Basic !", "Basic eA==", "Token TOKEN", "TOKEN", "Bearer ÿ"],
)
def test_what_is_no_valid_token_is_refused(token_site: Site, header: str) -> None:
    plain = token_site.tokens["operate"]["Authorization"].removeprefix("Bearer ")
    headers = {"Authorization": header.replace("TOKEN", plain)}
    refused = token_site.client().get("/metrics", headers=headers)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert refused.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["token", "access_token", "api_key", "Authorization"])
def test_a_token_in_the_url_is_ignored(token_site: Site, name: str) -> None:
    plain = token_site.tokens["operate"]["Authorization"].removeprefix("Bearer ")
    assert token_site.client().get("/metrics", query_string={name: plain}).status_code == 401


def test_a_revoked_token_is_refused_and_public_routes_stay_public(open_site: Site) -> None:
    headers = open_site.tokens["operate"]
    open_site.access.tokens.revoke("operate")
    client = open_site.client()
    assert client.get("/metrics", headers=headers).status_code == 401
    assert client.get("/ping", headers=headers).status_code == 200
    assert "pid" not in client.get("/alive", headers=headers).get_json()


def test_too_little_scope_is_told_with_the_scope(token_site: Site) -> None:
    refused = token_site.client().get("/metrics", headers=token_site.tokens["predict"])
    assert refused.status_code == 403
    assert "'operate'" in refused.get_json()["detail"]
    assert "tokens create NAME --scope operate" in refused.get_json()["remedy"]


def test_predictions_need_a_token_where_everything_does(token_site: Site) -> None:
    row = b"{}"
    for headers, expected in (({}, 401), (token_site.tokens["jobs"], 403)):
        exchange = Exchange(authorization=headers.get("Authorization", "")) if headers else None
        exchange = exchange or Exchange()
        exchange.send(token_site.front, row)
        assert exchange.status == expected


def test_tokens_that_cannot_be_read_are_told_as_such(token_site: Site, tmp_path: Path) -> None:
    (tmp_path / "access" / "tokens.json").write_text("{")
    refused = token_site.client().get("/metrics", headers=token_site.tokens["operate"])
    assert (refused.status_code, refused.get_json()["code"]) == (503, "unavailable")
    exchange = Exchange(authorization=token_site.tokens["predict"]["Authorization"])
    exchange.send(token_site.front, b"{}")
    assert exchange.status == 503


# Sessions of browsers


def sign_in(site: Site, client: FlaskClient, name: str, **more: Any) -> Any:
    plain = site.tokens[name]["Authorization"].removeprefix("Bearer ")
    return client.post("/sign-in", data={"token": plain, **more})


def csrf_of(client: FlaskClient) -> str:
    found = re.search(r'name="csrf" content="([0-9a-f]{64})"', client.get("/sign-in").text)
    assert found is not None
    return found[1]


def test_a_browser_without_a_token_is_sent_to_sign_in(token_site: Site) -> None:
    client = token_site.client()
    page = client.get("/predictions?glucose=148", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.headers["Location"]) == (303, "/sign-in?next=/predictions")
    assert client.get("/predictions", headers={"Accept": "application/json"}).status_code == 401


def test_signing_in_and_out(token_site: Site) -> None:
    client = token_site.client()
    token_site.access.tokens.create("both", frozenset(Scope), None)
    token_site.tokens["both"] = bearer(token_site.access, *Scope, name="all")
    wrong = client.post("/sign-in", data={"token": "st_no"})
    assert wrong.status_code == 401 and client.get_cookie(SESSION) is None
    signed = sign_in(token_site, client, "both", next="/predictions")
    assert (signed.status_code, signed.headers["Location"]) == (303, "/predictions")
    page = client.get("/predictions", headers={"Accept": "text/html"})
    assert page.status_code == 200 and "Signed in as all" in page.text
    assert client.get("/metrics").status_code == 200
    client.post("/sign-out", data={"csrf": csrf_of(client)})
    assert client.get("/metrics").status_code == 401


def test_a_session_ends_with_its_token(token_site: Site) -> None:
    client = token_site.client()
    sign_in(token_site, client, "operate")
    assert client.get("/metrics").status_code == 200
    token_site.access.tokens.revoke("operate")
    assert client.get("/metrics").status_code == 401


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(open_site: Site) -> None:
    client = open_site.client()
    made = client.post("/jobs", data=ROWS, content_type=CSV)
    signed = sign_in(open_site, client, "operate")
    for answer in (made, signed):
        (cookie,) = answer.headers.getlist("Set-Cookie")
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    plain = open_site.tokens["operate"]["Authorization"].removeprefix("Bearer ")
    assert plain[12:] not in signed.headers["Set-Cookie"]
    secure = open_site.client().post(
        "/jobs", data=ROWS, content_type=CSV, base_url="https://localhost"
    )
    assert "Secure" in secure.headers["Set-Cookie"]


def test_a_session_that_somebody_else_chose_is_not_kept(token_site: Site) -> None:
    attacker, victim = token_site.client(), token_site.client()
    sign_in(token_site, attacker, "predict")
    planted = attacker.get_cookie(SESSION)
    assert planted is not None
    victim.set_cookie(SESSION, planted.value)
    proof = csrf_of(victim)
    sign_in(token_site, victim, "operate", csrf=proof)
    assert victim.get_cookie(SESSION).value != planted.value  # type: ignore[union-attr]
    assert attacker.get("/metrics").status_code in REFUSED


@pytest.mark.parametrize("value", ["", "x", "1", "client.1.sig", "é"])
def test_a_forged_cookie_is_nobody(open_site: Site, value: str) -> None:
    client = open_site.client()
    headers = {"Cookie": f"{CLIENT}={value}; {SESSION}={value}"}
    assert client.get("/metrics", headers=headers).status_code == 401
    assert client.get("/jobs", headers=headers).get_json()["jobs"] == []


# The audit log


def test_changes_and_sign_ins_are_logged_without_secrets(
    open_site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "stackserve.audit")
    client = open_site.client()
    job = open_site.job(client, open_site.tokens["owner"])
    client.delete(job, headers=open_site.tokens["owner"])
    sign_in(open_site, client, "operate")
    client.post("/sign-in", data={"token": "x\n{}", "csrf": csrf_of(client)})
    lines = [json.loads(record.getMessage()) for record in caplog.records]
    assert [(line["action"], line["who"]) for line in lines] == [
        ("job.create", "token:owner"),
        ("job.delete", "token:owner"),
        ("sign-in", "token:operate"),
        ("sign-in.refuse", "token:operate"),
    ]
    assert lines[0]["job"] == job.removeprefix("/jobs/") and lines[0]["rows"] == 1
    for headers in open_site.tokens.values():
        plain = headers.get("Authorization", "Bearer -").removeprefix("Bearer ")
        assert plain[12:] == "" or plain[12:] not in caplog.text
    assert "x\n" not in caplog.text


# Other sites


@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:81"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_changes_nothing(open_site: Site, sent: dict[str, str]) -> None:
    client = open_site.client()
    job = open_site.job(client, {})
    refused = [
        client.post("/jobs", data=ROWS, content_type=CSV, headers=sent),
        client.delete(job, headers=sent),
        client.post("/sign-in", data={"token": "x"}, headers=sent),
    ]
    assert [answer.status_code for answer in refused] == [403] * 3
    assert refused[0].get_json()["code"] == "cross_site"
    assert len(client.get("/jobs", headers=sent).get_json()["jobs"]) == 1
    ours = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.delete(job, headers=ours).status_code == 204


def test_a_session_changes_nothing_without_its_proof(token_site: Site) -> None:
    client = token_site.client()
    sign_in(token_site, client, "jobs")
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}):
        refused = client.post("/jobs", data=ROWS, content_type=CSV, headers=headers)
        assert refused.status_code == 403, headers
    assert client.get("/jobs").get_json()["jobs"] == []
    # A token needs no proof: no browser sends it by itself.
    client.delete_cookie(SESSION)
    token_site.job(client, token_site.tokens["jobs"])


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/a\r\nX: y",
    ],
)
def test_signing_in_leads_to_no_other_site(open_site: Site, target: str) -> None:
    signed = sign_in(open_site, open_site.client(), "operate", next=target)
    assert signed.headers["Location"] == "/predictions"
    assert target not in open_site.client().get("/sign-in", query_string={"next": target}).text


def test_no_page_can_be_framed(open_site: Site) -> None:
    for path in ("/", "/predictions", "/sign-in"):
        policy = open_site.client().get(path).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
