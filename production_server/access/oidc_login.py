"""Signing in with an identity provider: the authorization code flow with PKCE."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from production_server.access.oidc import Identity, InvalidToken, Provider, Terms
from production_server.access.policy import Scope


@dataclass(frozen=True)
class Attempt:
    """One attempt to sign in. Only the browser that began it can end it."""

    state: str
    nonce: str
    verifier: str
    target: str

    @classmethod
    def begin(cls, target: str) -> Attempt:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, target)

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return urlsafe_b64encode(digest).decode().rstrip("=")


def login_url(provider: Provider, attempt: Attempt, callback: str) -> str:
    """Where the browser goes to sign in. Raises ProviderUnavailable."""
    address = provider.keys.address("authorization_endpoint")
    asked = {
        "response_type": "code",
        "client_id": provider.terms.client,
        "redirect_uri": callback,
        "scope": " ".join(["openid", *_scopes(provider)]),
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
    }
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def _scopes(provider: Provider) -> list[str]:
    claim = provider.terms.claim
    if claim == "scope":
        return [scope.value for scope in Scope]
    # Some give `groups` only if asked for it, and any may refuse a scope that it does not have.
    return [claim] if provider.keys.have_scope(claim) else []


def finish(provider: Provider, attempt: Attempt, callback: str, answer: dict[str, Any]) -> Identity:
    """Who signed in. Raises InvalidToken or ProviderUnavailable."""
    if not hmac.compare_digest(str(answer.get("state", "")).encode(), attempt.state.encode()):
        raise InvalidToken("another browser began this")
    if "code" not in answer:
        raise InvalidToken("the provider did not confirm it")
    form = {
        "grant_type": "authorization_code",
        "code": str(answer["code"]),
        "redirect_uri": callback,
        "client_id": provider.terms.client,
        "code_verifier": attempt.verifier,
    }
    try:
        tokens = provider.fetch(provider.keys.address("token_endpoint"), form)
    except (OSError, HTTPException, ValueError) as error:
        raise InvalidToken("the provider did not confirm it") from error
    claims = provider.claims(str(tokens.get("id_token", "")), provider.terms.client)
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
        raise InvalidToken("it is of another attempt")
    if not _is_for(provider.terms, claims):
        raise InvalidToken("it is for another client")
    # An ID token has no scopes; the answer that brings it may.
    return provider.identity({"scope": tokens.get("scope", ""), **claims})


def _is_for(terms: Terms, claims: Mapping[str, Any]) -> bool:
    """Whether an ID token that names the pages was issued to them (OpenID Connect Core 3.1.3.7).

    Only ID tokens: in access tokens, `azp` is the program that asked, which is no client of ours.
    """
    party, audience = claims.get("azp"), claims["aud"]
    if party is not None:
        return bool(party == terms.client)
    # Some providers name no party. Then nobody else may be meant but the service itself.
    named = audience if isinstance(audience, list) else [audience]
    return all(one in (terms.client, terms.audience) for one in named)
