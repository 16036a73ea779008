"""What people see who are signed in but lack a scope."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from production_server.access.oidc import Provider, Terms
from production_server.access.policy import PROVIDER_OWNER, Preset, Scope
from production_server.web.access import SESSION
from tests.unit.production_server.web.sites import Site

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def provider_site(tmp_path: Path) -> Site:
    site = Site(Preset.OIDC, tmp_path)
    site.access.provider = Provider(Terms("https://id.example.org", "stackserve", "groups"))
    return site


def signed_in(site: Site, name: str, *scopes: Scope) -> FlaskClient:
    """A browser in which somebody signed in at the identity provider."""
    identity = {"subject": name, "owner": f"{PROVIDER_OWNER}1", "scopes": list(scopes)}
    client = site.client()
    client.set_cookie(SESSION, site.access.signing.session({"identity": identity}))
    return client


def words(text: str) -> str:
    main = text[text.index("<main") : text.index("</main>")]
    return " ".join(re.sub("<[^>]+>", "", main).split())


def test_an_account_without_a_scope(provider_site: Site) -> None:
    refused = signed_in(provider_site, "ann <b>").get("/predictions", headers=HTML)
    assert refused.status_code == 403 and refused.mimetype == "text/html"
    assert refused.headers["Cache-Control"] == "no-store"
    assert refused.headers["Content-Security-Policy"].startswith("default-src 'none'")
    said = words(refused.text)
    assert "signed in as ann &lt;b&gt;." in said
    assert "needs the scope predict: to use the pages" in said
    assert "Your account has no scope at all." in said
    assert "Ask the operator" in said and "groups at your identity provider" in said


def test_a_token_without_the_scope(token_site: Site) -> None:
    token = token_site.tokens["jobs"]["Authorization"].removeprefix("Bearer ")
    client = token_site.client()
    assert client.post("/sign-in", data={"token": token}).status_code == 303
    refused = client.get("/operations", headers=HTML)
    said = words(refused.text)
    assert refused.status_code == 403 and "signed in as jobs." in said
    assert "needs the scope operate" in said and "Your token has only jobs." in said
    assert "for a token with this scope" in said and "identity provider" not in said


def test_the_button_signs_out(provider_site: Site) -> None:
    client = signed_in(provider_site, "ann")
    text = client.get("/", headers=HTML).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', text[text.index("<main") :])
    assert csrf is not None
    assert client.post("/sign-out", data={"csrf": "wrong"}).status_code == 403
    assert client.post("/sign-out", data={"csrf": csrf[1]}).status_code == 303
    back = client.get("/", headers=HTML)
    assert back.status_code == 303 and "/sign-in" in back.location


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/html"])
@pytest.mark.parametrize("path", ["/predictions", "/jobs", "/metrics"])
def test_programs_get_json(provider_site: Site, path: str, accept: str | None) -> None:
    headers = {"Accept": accept} if accept else {}
    refused = signed_in(provider_site, "ann").get(path, headers=headers)
    assert refused.status_code == 403 and refused.mimetype == "application/problem+json"
    assert refused.get_json()["code"] == "scope_missing"


def test_a_change_is_refused_with_json(provider_site: Site) -> None:
    refused = signed_in(provider_site, "ann").post("/jobs", headers=HTML)
    assert refused.get_json()["code"] == "scope_missing"


def test_whoever_has_no_session_has_no_button(token_site: Site) -> None:
    headers = HTML | token_site.tokens["jobs"]
    refused = token_site.client().get("/predictions", headers=headers)
    assert refused.status_code == 403 and "<button" not in refused.text
