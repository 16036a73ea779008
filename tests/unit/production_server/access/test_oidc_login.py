"""Signing in with an identity provider, and what an attacker may change on the way."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from production_server.access.oidc import InvalidToken, Provider, ProviderUnavailable, Terms
from production_server.access.oidc_login import Attempt, finish, login_url
from production_server.access.policy import Scope
from tests.support.identity_provider import AUDIENCE, IdentityProvider

CALLBACK = "https://predict.example.org/sign-in/callback"
CLIENT = "pages"


@pytest.fixture
def issuer(running: IdentityProvider) -> IdentityProvider:
    running.document.clear()
    running.forms.clear()
    running.tokens = None
    return running


@pytest.fixture
def provider(issuer: IdentityProvider) -> Provider:
    return Provider(Terms(issuer.issuer, AUDIENCE, client=CLIENT))


def id_token(issuer: IdentityProvider, attempt: Attempt, **changes: Any) -> dict[str, Any]:
    claims = {"aud": CLIENT, "nonce": attempt.nonce, "scope": None} | changes
    return {"id_token": issuer.token(**claims), "scope": "openid predict"}


def test_the_way_there_and_back(issuer: IdentityProvider, provider: Provider) -> None:
    attempt = Attempt.begin("/predictions")
    url = urlsplit(login_url(provider, attempt, CALLBACK))
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (asked["client_id"], asked["redirect_uri"]) == (CLIENT, CALLBACK)
    assert (asked["state"], asked["nonce"]) == (attempt.state, attempt.nonce)
    assert asked["code_challenge_method"] == "S256"
    assert attempt.verifier not in url.query
    issuer.tokens = id_token(issuer, attempt)
    found = finish(provider, attempt, CALLBACK, {"state": attempt.state, "code": "c1"})
    assert (found.subject, found.scopes) == ("somebody", {Scope.PREDICT})
    (form,) = issuer.forms
    assert form["code_verifier"] == attempt.verifier and form["code"] == "c1"
    # The same person as with a bearer token, so the same jobs.
    assert found.owner == provider.identify(issuer.token()).owner


@pytest.mark.parametrize(
    ("claim", "supported", "asked"),
    [
        ("scope", None, "openid predict jobs models operate"),
        ("groups", ["openid", "groups"], "openid groups"),
        ("groups", ["openid"], "openid"),
        ("groups", None, "openid"),
        ("groups", "groups", "openid"),
    ],
)
def test_which_scopes_the_pages_ask_for(
    issuer: IdentityProvider, claim: str, supported: object, asked: str
) -> None:
    issuer.document["scopes_supported"] = supported
    provider = Provider(Terms(issuer.issuer, AUDIENCE, claim, client=CLIENT))
    url = login_url(provider, Attempt.begin("/"), CALLBACK)
    assert parse_qs(urlsplit(url).query)["scope"] == [asked]


def test_the_challenge_is_that_of_the_standard() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    challenge = Attempt("", "", verifier, "/").challenge
    assert challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    "answer",
    [
        {"code": "c1"},
        {"code": "c1", "state": ""},
        {"code": "c1", "state": "of another browser"},
        {"error": "access_denied"},
    ],
)
def test_an_answer_to_somebody_else(
    issuer: IdentityProvider, provider: Provider, answer: dict[str, str]
) -> None:
    attempt = Attempt.begin("/")
    issuer.tokens = id_token(issuer, attempt)
    with pytest.raises(InvalidToken, match="another browser"):
        finish(provider, attempt, CALLBACK, answer)
    assert issuer.forms == [], "the code must not reach the provider"


def test_a_refusal_of_the_provider(issuer: IdentityProvider, provider: Provider) -> None:
    attempt = Attempt.begin("/")
    for answer in ({"error": "access_denied"}, {"code": "wrong"}):
        with pytest.raises(InvalidToken, match="did not confirm"):
            finish(provider, attempt, CALLBACK, {"state": attempt.state, **answer})


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "of another attempt"},
        {"nonce": None},
        {"aud": AUDIENCE},
        {"aud": "other"},
        {"exp": 1},
        {"iss": "http://127.0.0.1:1"},
    ],
)
def test_an_id_token_that_does_not_fit(
    issuer: IdentityProvider, provider: Provider, changes: dict[str, Any]
) -> None:
    attempt = Attempt.begin("/")
    issuer.tokens = id_token(issuer, attempt, **changes)
    with pytest.raises(InvalidToken):
        finish(provider, attempt, CALLBACK, {"state": attempt.state, "code": "c1"})


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({"aud": [CLIENT]}, True),
        ({"azp": CLIENT}, True),
        ({"aud": [CLIENT, AUDIENCE], "azp": CLIENT}, True),
        ({"aud": [CLIENT, AUDIENCE]}, True),
        ({"aud": [CLIENT, "other"], "azp": CLIENT}, True),
        ({"aud": [CLIENT, "other"]}, False),
        ({"aud": [CLIENT, AUDIENCE, "other"]}, False),
        ({"aud": [CLIENT, AUDIENCE], "azp": "other"}, False),
        ({"aud": [CLIENT, "other"], "azp": ""}, False),
        ({"azp": "other"}, False),
        ({"azp": [CLIENT]}, False),
    ],
)
def test_an_id_token_for_several_audiences_was_issued_to_the_pages(
    issuer: IdentityProvider, provider: Provider, changes: dict[str, Any], good: bool
) -> None:
    attempt = Attempt.begin("/")
    issuer.tokens = id_token(issuer, attempt, **changes)
    answer = {"state": attempt.state, "code": "c1"}
    if good:
        assert finish(provider, attempt, CALLBACK, answer).subject == "somebody"
    else:
        with pytest.raises(InvalidToken, match="for another client"):
            finish(provider, attempt, CALLBACK, answer)


def test_a_bearer_token_may_be_for_any_program(
    issuer: IdentityProvider, provider: Provider
) -> None:
    token = issuer.token(aud=[AUDIENCE, "other"], azp="a program of somebody")
    assert provider.identify(token).subject == "somebody"


def test_no_id_token_at_all(issuer: IdentityProvider, provider: Provider) -> None:
    attempt = Attempt.begin("/")
    for tokens in ({}, {"id_token": None}, {"id_token": "a.b.c"}, {"access_token": issuer.token()}):
        issuer.tokens = tokens
        with pytest.raises(InvalidToken):
            finish(provider, attempt, CALLBACK, {"state": attempt.state, "code": "c1"})


@pytest.mark.parametrize(
    "document",
    [{"authorization_endpoint": "http://evil.example"}, {"authorization_endpoint": None}],
)
def test_a_provider_that_leads_elsewhere(
    issuer: IdentityProvider, provider: Provider, document: dict[str, Any]
) -> None:
    issuer.document = document
    with pytest.raises(ProviderUnavailable):
        login_url(provider, Attempt.begin("/"), CALLBACK)
