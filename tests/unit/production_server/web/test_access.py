"""Every route against every kind of caller, and what attackers try."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from production_server.access.policy import ROUTES, Preset, Scope, needed
from production_server.jobs.records import Outcome
from production_server.jobs.store import Store
from production_server.settings import Settings
from production_server.web.access import CLIENT, SESSION
from production_server.web.app import create_flask
from production_server.web.current_model import Pinned
from production_server.web.front import Front
from production_server.web.metrics import Metrics
from production_server.web.rows import RowSchema
from tests.unit.production_server.web.callers import bearer, make_access
from tests.unit.production_server.web.cards import BINARY, Queue
from tests.unit.production_server.web.fronts import Exchange, Lane

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "access.md"
CSV = "text/csv"
ROWS = ",".join(BINARY.feature_names) + "\n" + ",".join(str(f.default) for f in BINARY.features)
# Callers of the table, and the scopes of their tokens. The first two have none; the second one has
# the cookie of a client that created a job of its own.
CALLERS: dict[str, tuple[Scope, ...]] = {
    "anonymous": (),
    "another client": (),
    "predict": (Scope.PREDICT,),
    "jobs": (Scope.JOBS,),
    "models": (Scope.MODELS,),
    "operate": (Scope.OPERATE,),
    "owner": (Scope.JOBS,),
}
REFUSED = {401, 403}
ONE_JOB = "/jobs/<job_id>"


class Site:
    """The whole application, with a queue and a registry that answer at once."""

    def __init__(self, preset: Preset, folder: Path) -> None:
        self.access = make_access(preset, folder / "access")
        self.store = Store(f"sqlite:///{folder / 'jobs.sqlite3'}")
        queue = Queue(BINARY, lambda row: [0.25])
        services: Any = SimpleNamespace(
            settings=Settings(home=folder, access=preset),
            access=self.access,
            store=self.store,
            started=0.0,
            metrics=Metrics(None, CollectorRegistry()),
            lane=SimpleNamespace(connected=False, alarm="", submit=Lane().submit, deadline=5.0),
            workers=SimpleNamespace(states=lambda _: []),
            pinned=Pinned(BINARY.version, BINARY, RowSchema(BINARY, 100)),
            card=lambda: BINARY,
            predict_now=queue.predict_now,
            summary=lambda: {"model": BINARY.name, "version": BINARY.version},
            registry=SimpleNamespace(versions=list, active=lambda: BINARY.version),
        )
        self.flask: Flask = create_flask(services)
        self.front = Front(services, self.flask)
        self.tokens = {
            name: bearer(self.access, *scopes, name=name) if scopes else {}
            for name, scopes in CALLERS.items()
        }
        cookie = self.access.signing.client("another")
        self.tokens["another client"] = {"Cookie": f"{CLIENT}={cookie}"}

    def client(self) -> FlaskClient:
        return self.flask.test_client()

    def job(self, client: FlaskClient, headers: dict[str, str], state: str = "done") -> str:
        """The address of a new job of this caller."""
        made = client.post("/jobs", data=ROWS, content_type=CSV, headers=headers)
        assert made.status_code == 202, made.text
        job = made.get_json()["id"]
        if state == "done":
            self.store.record(job, 0, Outcome(outputs=b"\0\0\0\0"))
        return f"/jobs/{job}"

    def status(self, method: str, route: str, headers: dict[str, str], job: str) -> int:
        """The status of a request to a route, /predict included."""
        path = route.replace("/jobs/<job_id>", job).replace("<path:filename>", "style.css")
        if path == "/predict":
            names = {name.lower().replace("-", "_"): value for name, value in headers.items()}
            exchange = Exchange(method, "/predict", **names)
            exchange.send(self.front, b"{}")
            return exchange.status
        body = {"data": ROWS, "content_type": CSV} if route == "/jobs" and method == "POST" else {}
        return self.client().open(path, method=method, headers=headers, **body).status_code


@pytest.fixture(params=list(Preset))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    made = Site(request.param, tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[Site]:
    made = Site(Preset.OPEN, tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def token_site(tmp_path: Path) -> Iterator[Site]:
    made = Site(Preset.TOKEN, tmp_path)
    yield made
    made.store.close()


def routes(site: Site) -> set[tuple[str, str]]:
    found = {
        (method, rule.rule)
        for rule in site.flask.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    return found | {("GET", "/predict"), ("POST", "/predict")}


def expected(site: Site, name: str, method: str, route: str) -> int:
    """The status for a caller without the right; 200 stands for every success."""
    scopes = set(CALLERS[name])
    if site.access.preset is Preset.OPEN:
        scopes |= {Scope.PREDICT, Scope.JOBS}
    scope = needed(method, route)
    if scope is not None and scope not in scopes:
        return 403 if CALLERS[name] else 401
    # The job belongs to the token "owner".
    stranger = name not in ("owner", "operate")
    return 404 if route.startswith(ONE_JOB) and stranger else 200


def test_the_policy_names_every_route_and_no_other(site: Site) -> None:
    assert routes(site) == set(ROUTES)


def test_every_route_lets_in_whom_the_policy_names(site: Site) -> None:
    """The tables in docs/access.md are these."""
    lines = []
    for method, route in sorted(routes(site), key=lambda one: (one[1], one[0])):
        cells = []
        for name in CALLERS:
            job = site.job(site.client(), site.tokens["owner"])
            got = site.status(method, route, site.tokens[name], job)
            wanted = expected(site, name, method, route)
            # Signing in without a token fails, but everybody may try.
            if (method, route) == ("POST", "/sign-in"):
                assert got == 401
            elif wanted == 200:
                assert got not in {*REFUSED, 404}, (method, route, name, got)
            else:
                assert got == wanted, (method, route, name)
            cells.append("yes" if wanted == 200 else str(wanted))
        lines.append(f"| `{method} {route}` | {' | '.join(cells)} |")
    text = DOCUMENT.read_text(encoding="utf-8")
    missing = [line for line in lines if line not in text]
    assert not missing, "\n".join(["docs/access.md lacks some of these:", *lines])


# Jobs belong to who created them


def test_an_anonymous_client_lists_only_its_own_jobs(open_site: Site) -> None:
    mine, other, stranger = (open_site.client() for _ in range(3))
    job, theirs = open_site.job(mine, {}), open_site.job(other, {})
    assert [f"/jobs/{one['id']}" for one in mine.get("/jobs").get_json()["jobs"]] == [job]
    assert stranger.get("/jobs").get_json()["jobs"] == []
    before = theirs.rpartition("/")[2]
    assert mine.get(f"/jobs?before={before}").get_json()["jobs"] == []
    listed = stranger.get("/jobs", headers=open_site.tokens["operate"]).get_json()["jobs"]
    assert {f"/jobs/{one['id']}" for one in listed} == {job, theirs}


def test_the_address_of_a_job_is_its_key_and_cannot_be_guessed(open_site: Site) -> None:
    job = open_site.job(open_site.client(), {})
    assert re.fullmatch(r"/jobs/[0-9a-f]{32}", job)
    stranger = open_site.client()
    assert stranger.get(f"{job}/result").status_code == 200
    assert stranger.delete(job).status_code == 204


@pytest.mark.parametrize("name", ["anonymous", "predict", "jobs"])
def test_nobody_else_uses_a_job_that_was_created_with_a_token(site: Site, name: str) -> None:
    owner = bearer(site.access, Scope.JOBS, name="alice")
    job = site.job(site.client(), owner)
    for method, path in (("GET", job), ("GET", f"{job}/result"), ("DELETE", job)):
        status = site.client().open(path, method=method, headers=site.tokens[name]).status_code
        assert status in {401, 403, 404}, (method, path)
    operator = bearer(site.access, Scope.OPERATE, Scope.JOBS, name="boss")
    for headers in (owner, operator):
        assert site.client().get(job, headers=headers).status_code == 200


def test_a_job_of_somebody_else_looks_like_none(token_site: Site) -> None:
    job = token_site.job(token_site.client(), bearer(token_site.access, Scope.JOBS, name="alice"))
    headers = token_site.tokens["jobs"]
    unknown = "/jobs/" + "0" * 32
    answers = [token_site.client().get(path, headers=headers) for path in (job, unknown)]
    bodies = [answer.text.replace(job[6:], "ID").replace("0" * 32, "ID") for answer in answers]
    assert bodies[0] == bodies[1]


def test_an_idempotency_key_of_somebody_else_tells_nothing(open_site: Site) -> None:
    key = {"Idempotency-Key": "1"}
    mine, other = open_site.client(), open_site.client()
    first = open_site.job(mine, {})  # both are known by their cookie now
    open_site.job(other, {})
    made = [
        client.post("/jobs", data=ROWS, content_type=CSV, headers=key) for client in (mine, other)
    ]
    assert {answer.status_code for answer in made} == {202}
    assert len({answer.get_json()["id"] for answer in made} | {first}) == 3
    again = mine.post("/jobs", data=ROWS, content_type=CSV, headers=key)
    assert again.get_json()["id"] == made[0].get_json()["id"]


def test_a_first_job_that_is_sent_again_is_the_same_job(open_site: Site) -> None:
    client, key = open_site.client(), {"Idempotency-Key": "first"}
    answers = [
        client.post("/jobs", data=ROWS, content_type=CSV, headers=key).get_json() for _ in "ab"
    ]
    assert answers[0]["id"] == answers[1]["id"]


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
    open_site.access.tokens._looked = 0.0
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
    token_site.access.tokens._looked = 0.0
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
