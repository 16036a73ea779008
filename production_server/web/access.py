"""Who sent a request, and whether the policy lets it through.

A caller is known by a token in the Authorization header, by the session of a browser that signed in
with a token, or by the cookie of a client that created a job. A token in a URL is never read.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from base64 import b64decode
from binascii import Error as NotBase64
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Flask, Response, after_this_request, g, make_response, redirect, request, url_for
from werkzeug.http import parse_cookie

from production_server.access import policy
from production_server.access.oidc import (
    Identity,
    InvalidToken,
    Provider,
    ProviderUnavailable,
    Terms,
    scope_map,
)
from production_server.access.own_check import CheckFailed, OwnCheck, Refused, caller_of, load
from production_server.access.policy import (
    ANONYMOUS,
    CLIENT_OWNER,
    PROVIDER_OWNER,
    TOKEN_OWNER,
    Caller,
    Preset,
    Scope,
)
from production_server.access.signing import SESSION_SECONDS, Signing, signing_of
from production_server.access.tokens import Token, Tokens, digest_of
from production_server.errors import SettingsError
from production_server.settings import Settings
from production_server.web import no_access
from production_server.web.bodies import Scope as AsgiScope
from production_server.web.problems import Problem
from production_server.web.refusals import (
    check_failed,
    cross_site,
    provider_unavailable,
    unauthorized,
)

SESSION = "stackserve_session"
CLIENT = "stackserve_client"
CLIENT_SECONDS = 365 * 24 * 3600
# Who sent a request, in its ASGI scope once that is known.
CALLER = "stackserve.caller"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"
SCOPE_MISSING = "scope_missing"
SAFE = ("GET", "HEAD", "OPTIONS")
MOST_IDENTIFIED = 1000
# For checks that may wait for the identity provider. They must not take the threads of other work.
THREADS = ThreadPoolExecutor(4, "access")


class Access:
    """The access of one web process."""

    def __init__(
        self,
        preset: Preset,
        tokens: Tokens,
        signing: Signing,
        provider: Provider | None = None,
        check: OwnCheck | None = None,
    ) -> None:
        self.preset = preset
        self.provider = provider
        self.check = check
        # What tokens of the provider turned out to say, by their hash.
        self._identified: OrderedDict[str, Identity] = OrderedDict()
        self.tokens = tokens
        self.signing = signing
        self.anonymous = ANONYMOUS[preset]
        self.anybody_predicts = Scope.PREDICT in self.anonymous

    def caller(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Caller:
        """Who sent these headers. Raises a Problem for a token that is not valid."""
        authorization = headers.get("authorization")
        plain = plain_of(authorization or "")
        if plain and self.signing.is_own(plain):
            return Caller("this server", self.anonymous | {Scope.OPERATE})
        if self.check is not None and (known := self._from_check(self.check, headers)):
            return known
        if authorization is not None:
            if self.provider is not None and plain.count(".") == 2:
                return self._from_provider(self.provider, plain)
            token = self.tokens.find(plain)
            if token is None:
                raise unauthorized("The token is not valid: it is unknown, expired or revoked.")
            return self._with_token(token)
        session = cookies.get(SESSION, "")
        found = self._from_session(self.signing.session_of(session)) if session else None
        if found is not None:
            return replace(found, session=session)
        client = self.signing.client_of(cookies.get(CLIENT, ""))
        return Caller("anonymous", self.anonymous, client and CLIENT_OWNER + client)

    async def check_prediction(self, scope: AsgiScope) -> None:
        """Raise a Problem if a request for /predict, which Flask does not see, is not allowed."""
        check_scope(scope.get(CALLER) or await self.identify(scope), Scope.PREDICT)

    async def identify(self, scope: AsgiScope) -> Caller:
        """Who sent a request, on the event loop. Raises a Problem for a token that is not valid."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        find = partial(self.caller, headers, parse_cookie(headers.get("cookie")))
        if self._answers_at_once(headers.get("authorization")):
            caller = find()
        else:
            caller = await asyncio.get_running_loop().run_in_executor(THREADS, find)
        scope[CALLER] = caller
        return caller

    def may_use(self, owner: str | None) -> bool:
        """Whether the caller of the current request may use a job of this owner."""
        return policy.may_use(current(), owner, self.preset)

    def owner(self) -> str:
        """The owner of a job that the current request creates; a new client gets a cookie."""
        caller = current()
        if caller.owner is not None:
            return caller.owner
        client = secrets.token_hex(16)
        cookie = self.signing.client(client)

        @after_this_request
        def remember(response: Response) -> Response:
            set_cookie(response, CLIENT, cookie, CLIENT_SECONDS)
            return response

        return CLIENT_OWNER + client

    def csrf(self) -> str:
        """What the pages of the current session send along; empty without a session."""
        session = current().session
        return self.signing.csrf(session) if session else ""

    def claim_of(self, caller: Caller) -> str:
        """The claim that the caller's scopes come from; empty without an identity provider."""
        if self.provider is None or not (caller.owner or "").startswith(PROVIDER_OWNER):
            return ""
        return self.provider.terms.claim

    def _answers_at_once(self, authorization: str | None) -> bool:
        """Whether no provider and no check of somebody else's has to be waited for."""
        if self.check is not None:
            return False
        plain = plain_of(authorization or "") if self.provider is not None else ""
        return plain.count(".") != 2 or digest_of(plain) in self._identified

    def _from_check(self, check: OwnCheck, headers: Mapping[str, str]) -> Caller | None:
        try:
            return caller_of(check, headers, self.anonymous)
        except Refused as error:
            raise unauthorized("The credentials are not valid.") from error
        except CheckFailed as error:
            raise check_failed() from error

    def _from_provider(self, provider: Provider, plain: str) -> Caller:
        digest = digest_of(plain)
        found = self._identified.get(digest)
        try:
            if found is None or found.expires <= time.time():
                found = provider.identify(plain)
        except InvalidToken as error:
            self._identified.pop(digest, None)
            raise unauthorized(f"The token is not valid: {error}.") from error
        except ProviderUnavailable as error:
            raise provider_unavailable() from error
        self._identified[digest] = found
        if len(self._identified) > MOST_IDENTIFIED:
            self._identified.popitem(last=False)
        return Caller(found.subject, found.scopes | self.anonymous, found.owner)

    def _from_session(self, content: dict[str, Any]) -> Caller | None:
        if (identity := content.get("identity")) and self.provider is not None:
            scopes = frozenset(map(Scope, identity["scopes"]))
            return Caller(identity["subject"], scopes | self.anonymous, identity["owner"])
        token = self.tokens.with_id(content.get("token", ""))
        return self._with_token(token) if token else None

    def _with_token(self, token: Token) -> Caller:
        return Caller(token.name, token.scopes | self.anonymous, TOKEN_OWNER + token.name)


def access_of(settings: Settings) -> Access:
    """The access that the settings ask for."""
    folder = settings.access_folder
    provider = provider_of(settings) if settings.access is Preset.OIDC else None
    check = load(settings.access_check) if settings.access_check else None
    return Access(settings.access, Tokens(folder), signing_of(folder), provider, check)


def provider_of(settings: Settings) -> Provider:
    """The identity provider of the settings. Raises SettingsError."""
    issuer, audience = settings.oidc_issuer, settings.oidc_audience
    if not issuer or not audience:
        raise SettingsError(
            "STACKSERVE_ACCESS=oidc needs STACKSERVE_OIDC_ISSUER and STACKSERVE_OIDC_AUDIENCE",
            "See docs/access.md.",
        )
    try:
        scopes = scope_map(settings.oidc_scopes) if settings.oidc_scopes else None
        client = settings.oidc_client or ""
        return Provider(Terms(issuer, audience, settings.oidc_claim, scopes, client))
    except ValueError as error:
        raise SettingsError(
            f"STACKSERVE_OIDC_...: {error}", "Correct it; see docs/access.md."
        ) from error


def install(app: Flask, access: Access) -> None:
    """Check every request before its route runs."""

    @app.before_request
    def check() -> Response | None:
        rule = request.url_rule
        needed = policy.needed(request.method, rule.rule) if rule else None
        if needed is None:
            # Public: wrong credentials do not matter here.
            g.caller = _caller_or_nobody(access)
        else:
            try:
                g.caller = access.caller(_headers(), request.cookies)
                check_scope(g.caller, needed)
            except Problem as problem:
                if problem.status == 401 and _is_browser():
                    return make_response(redirect(url_for("access.form", next=request.path), 303))
                if problem.code == SCOPE_MISSING and _is_browser():
                    return no_access.page(g.caller, needed, access.claim_of(g.caller))
                raise
        check_origin(access, g.caller)
        return None


def current() -> Caller:
    """The caller of the current request."""
    return cast(Caller, g.caller)


def check_scope(caller: Caller, needed: Scope) -> None:
    if needed in caller.scopes:
        return
    if not caller.owner or caller.owner.startswith(CLIENT_OWNER):
        raise unauthorized("This needs a token.")
    raise Problem(
        403,
        SCOPE_MISSING,
        f"This needs the scope {needed.value!r}, which the token {caller.name!r} does not have.",
        f"Use a token with it: tokens create NAME --scope {needed.value}",
    )


def check_origin(access: Access, caller: Caller) -> None:
    """Raise a Problem if another site made a browser send this change."""
    if request.method in SAFE:
        return
    # Browsers name the site in one of these; without TLS, only in Origin.
    origin = request.headers.get("Origin")
    if origin is not None and not _is_own(origin):
        raise cross_site()
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise cross_site()
    if not caller.session:
        return
    sent = request.headers.get(CSRF_HEADER)
    if sent is None and request.mimetype == "application/x-www-form-urlencoded":
        sent = request.form.get(CSRF_FIELD)
    if not hmac.compare_digest((sent or "").encode(), access.csrf().encode()):
        raise cross_site()


def set_cookie(
    response: Response,
    name: str,
    value: str,
    seconds: int = SESSION_SECONDS,
    samesite: str = "Strict",
) -> None:
    """Set a cookie that no script and no other site can use."""
    response.set_cookie(
        name, value, seconds, httponly=True, samesite=samesite, secure=request.is_secure
    )


def plain_of(authorization: str) -> str:
    """The token in an Authorization header: as Bearer, or as the password of Basic."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        with suppress(NotBase64, UnicodeDecodeError):
            return b64decode(value.strip(), validate=True).decode().partition(":")[2]
    return ""


def _is_own(origin: str) -> bool:
    """Whether this service sent the page. With TLS, a page that came without it does not count."""
    parts = urlsplit(origin)
    return parts.netloc == request.host and (parts.scheme == "https" or not request.is_secure)


def _caller_or_nobody(access: Access) -> Caller:
    try:
        return access.caller(_headers(), request.cookies)
    except Problem:
        return Caller("anonymous", access.anonymous)


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _is_browser() -> bool:
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return request.method == "GET" and best == "text/html"
