"""Tokens of an identity provider, and what forgers try."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from production_server.access import oidc
from production_server.access.oidc import (
    InvalidToken,
    Keys,
    Provider,
    ProviderUnavailable,
    Terms,
    checked_url,
    fetch_json,
    scope_map,
)
from production_server.access.policy import Scope
from tests.support.identity_provider import AUDIENCE, IdentityProvider


@pytest.fixture
def issuer(running: IdentityProvider) -> IdentityProvider:
    running.document.clear()
    running.asked.clear()
    running.hangs.clear()
    del running.keys[1:]
    return running


@pytest.fixture
def provider(issuer: IdentityProvider) -> Provider:
    return Provider(Terms(issuer.issuer, AUDIENCE))


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_valid_token_says_who_and_what(issuer: IdentityProvider, provider: Provider) -> None:
    found = provider.identify(issuer.token())
    assert (found.subject, found.scopes) == ("somebody", {Scope.PREDICT, Scope.JOBS})
    assert found.owner == provider.identify(issuer.token(scope="")).owner
    assert found.owner != provider.identify(issuer.token(sub="else")).owner
    assert len(found.owner) <= 80
    assert provider.identify(issuer.token(aud=["other", AUDIENCE])).subject == "somebody"


def test_other_kinds_of_keys(issuer: IdentityProvider, provider: Provider) -> None:
    key = ECKey.generate_key("P-256", {"kid": "curve"}, private=True)
    issuer.keys.append(key)
    assert provider.identify(issuer.token(key, {"alg": "ES256"})).subject == "somebody"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "http://127.0.0.1:1"}, "'iss'"),
        ({"iss": None}, "'iss'"),
        ({"aud": "other"}, "'aud'"),
        ({"aud": [AUDIENCE + "x"]}, "'aud'"),
        ({"aud": None}, "'aud'"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "'exp'"),
        ({"exp": "tomorrow"}, "'exp'"),
        ({"nbf": int(time.time()) + 3600}, "nbf|not valid yet|does not fit"),
        ({"sub": None}, "'sub'"),
    ],
)
def test_claims_that_do_not_fit(
    issuer: IdentityProvider, provider: Provider, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidToken, match=why):
        provider.identify(issuer.token(**changes))


def test_a_clock_may_be_a_minute_off(issuer: IdentityProvider, provider: Provider) -> None:
    now = int(time.time())
    assert provider.identify(issuer.token(exp=now - 30, nbf=now + 30)).subject == "somebody"
    with pytest.raises(InvalidToken):
        provider.identify(issuer.token(exp=now - 90))


def test_no_signature_and_the_public_key_as_a_secret(
    issuer: IdentityProvider, provider: Provider
) -> None:
    head, body, signature = issuer.token().split(".")
    for forged in ("none", "None", "HS256"):
        unsigned = encoded({"alg": forged, "kid": "first"})
        for end in ("", signature):
            with pytest.raises(InvalidToken):
                provider.identify(f"{unsigned}.{body}.{end}")
    with pytest.raises(InvalidToken):
        provider.identify(f"{head}.{body}.")
    public = issuer.keys[0].as_pem(private=False)
    for secret in (public, public.strip(), issuer.keys[0].as_der(private=False)):
        with pytest.raises(InvalidToken):
            provider.identify(issuer.signed_with_secret(secret))


def test_a_key_that_the_token_brings_along(issuer: IdentityProvider, provider: Provider) -> None:
    own = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
    with pytest.raises(InvalidToken):
        provider.identify(issuer.token(own))
    head = {"alg": "RS256", "kid": "first", "jwk": own.as_dict(private=False)}
    forged = jwt.encode(head, issuer.claims(), own)
    with pytest.raises(InvalidToken):
        provider.identify(forged)
    url = jwt.encode(
        {"alg": "RS256", "kid": "first", "jku": "http://127.0.0.1:1/keys"}, issuer.claims(), own
    )
    with pytest.raises(InvalidToken):
        provider.identify(url)
    assert set(issuer.asked) == {"/.well-known/openid-configuration", "/keys"}


@pytest.mark.parametrize(
    "key_id",
    ["unknown", "../../etc/passwd", "http://127.0.0.1:1/", "' OR 1=1 --", "\x00", "ü" * 99],
)
def test_a_key_id_leads_nowhere(issuer: IdentityProvider, provider: Provider, key_id: str) -> None:
    provider.identify(issuer.token())
    with pytest.raises(InvalidToken):
        provider.identify(issuer.token(header={"kid": key_id}))
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "é.b.c",
        encoded([]) + ".b.c",
        encoded({"kid": 1}) + ".b.c",
        "a" * 20_000 + "..",
        encoded({"alg": "RS256", "kid": "first"}) + "..",
        encoded({}) + "." + encoded({}) + ".",
    ],
)
def test_garbage(provider: Provider, token: str) -> None:
    with pytest.raises(InvalidToken):
        provider.identify(token)


def test_a_tampered_token(issuer: IdentityProvider, provider: Provider) -> None:
    head, _, signature = issuer.token().split(".")
    body = encoded(issuer.claims(scope="operate"))
    with pytest.raises(InvalidToken):
        provider.identify(f"{head}.{body}.{signature}")


# The keys


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_kept_and_a_new_one_is_found(issuer: IdentityProvider) -> None:
    clock = Time()
    keys = Keys(issuer.issuer, fetch_json, clock)
    for _ in range(3):
        keys.with_id("first")
    assert len(issuer.asked) == 2
    issuer.keys.append(issuer.new_key("second"))
    keys.with_id("second")  # too soon: anybody can name an unknown key
    assert len(issuer.asked) == 2
    clock.now += oidc.PAUSE_SECONDS + 1
    assert {key.kid for key in keys.with_id("second").keys} == {"first", "second"}
    assert len(issuer.asked) == 4
    clock.now += oidc.KEEP_SECONDS + 1
    keys.with_id("first")
    assert len(issuer.asked) == 6


def test_a_provider_that_is_away_keeps_its_keys(issuer: IdentityProvider) -> None:
    clock = Time()
    keys = Keys(issuer.issuer, fetch_json, clock)
    keys.with_id("first")
    issuer.document = {"issuer": "https://somebody.else"}
    clock.now += oidc.KEEP_SECONDS + 1
    assert keys.with_id("first").keys


def test_a_provider_that_hangs_costs_one_request_some_seconds(issuer: IdentityProvider) -> None:
    issuer.hangs.set()
    keys = Keys(issuer.issuer, fetch_json)
    began = time.monotonic()
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            keys.with_id("first")
    assert time.monotonic() - began < oidc.FETCH_SECONDS + 2


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"jwks_uri": "http://evil.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
def test_a_document_that_is_not_the_issuers(
    issuer: IdentityProvider, document: dict[str, Any]
) -> None:
    issuer.document = document
    with pytest.raises(ProviderUnavailable):
        Keys(issuer.issuer, fetch_json).with_id("first")


# Scopes and settings


def test_scopes_from_another_claim(issuer: IdentityProvider) -> None:
    mapping = scope_map("staff=operate, staff=jobs,students=predict")
    terms = Terms(issuer.issuer, AUDIENCE, "groups", mapping)
    for groups, scopes in (
        (["staff", "x"], {Scope.OPERATE, Scope.JOBS}),
        ("students", {Scope.PREDICT}),
        (["operate", 1, None, {}], set()),
        ({"a": "b"}, set()),
        (None, set()),
        (7, set()),
    ):
        assert terms.scopes_of({"groups": groups}) == scopes, groups
    for wrong in ("staff", "staff=root", "=operate"):
        with pytest.raises(ValueError, match="VALUE=SCOPE"):
            scope_map(wrong)


def test_only_addresses_with_tls_or_on_this_machine() -> None:
    assert checked_url("https://id.example.org") and checked_url("http://127.0.0.1:9000")
    for url in ("http://id.example.org", "ftp://127.0.0.1", "http://127.0.0.1.evil.example"):
        with pytest.raises(ValueError, match="https"):
            checked_url(url)
