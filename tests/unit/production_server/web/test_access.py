"""Every route against every kind of caller, and whose jobs are whose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from production_server.access.policy import ROUTES, Preset, Scope, needed
from production_server.web.events import EVENTS
from tests.unit.production_server.web.callers import bearer
from tests.unit.production_server.web.sites import CALLERS, CSV, ROWS, Site

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "access.md"
REFUSED = {401, 403}
ONE_JOB = "/jobs/<job_id>"


def routes(site: Site) -> set[tuple[str, str]]:
    found = {
        (method, rule.rule)
        for rule in site.flask.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    return found | {("GET", "/predict"), ("POST", "/predict"), ("GET", EVENTS)}


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
            # Signing in fails here, but everybody may try.
            if route.startswith("/sign-in") and (method, route) != ("GET", "/sign-in"):
                assert got in {400, 401, 404}
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
