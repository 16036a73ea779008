"""Bearer tokens of an OpenID Connect provider: JWTs, checked with the keys that it publishes.

The keys are fetched when a token first needs them, kept for an hour, and fetched again when a token
names an unknown one. A provider that is down or slow costs a request some seconds at most, and only
one request at a time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from production_server.access.policy import PROVIDER_OWNER, Scope
from production_server.errors import AccessError

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

log = logging.getLogger(__name__)

# Only signatures that need the provider's private key: no HMAC, and not `none`.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
DISCOVERY = "/.well-known/openid-configuration"
LEEWAY_SECONDS = 60
KEEP_SECONDS = 3600.0
# The shortest time between two attempts to get keys.
PAUSE_SECONDS = 30.0
FETCH_SECONDS = 3.0
MOST_BYTES = 1 << 20
MOST_TOKEN_BYTES = 16 << 10
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

# A URL, and the form to post there.
Fetch = Callable[[str, Mapping[str, str] | None], Mapping[str, Any]]


class InvalidToken(Exception):
    """The token proves nothing. The text says why."""


class ProviderUnavailable(Exception):
    """The provider gives no keys, so its tokens cannot be checked."""


@dataclass(frozen=True)
class Identity:
    """What a valid token says."""

    subject: str
    owner: str
    scopes: frozenset[Scope]
    expires: float


@dataclass(frozen=True)
class Terms:
    """What a token must say, and which of its values give which scopes."""

    issuer: str
    audience: str
    claim: str = "scope"
    scopes: Mapping[str, frozenset[Scope]] | None = None
    client: str = ""
    """The ID under which the provider knows the pages; without it, they have no login with it."""

    def scopes_of(self, claims: Mapping[str, Any]) -> frozenset[Scope]:
        value = claims.get(self.claim)
        values = value.split() if isinstance(value, str) else value
        if not isinstance(values, list):
            return frozenset()
        given = self.scopes or {scope.value: frozenset({scope}) for scope in Scope}
        named = [given.get(one) for one in values if isinstance(one, str)]
        return frozenset().union(*filter(None, named))


class Keys:
    """The provider's keys."""

    def __init__(
        self, issuer: str, fetch: Fetch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._ids: set[str | None] = set()
        self._about: Mapping[str, Any] = {}
        self._tried = float("-inf")

    def with_id(self, key_id: str | None) -> KeySet:
        """The keys, of which one should have this ID."""
        with self._lock:
            age = self._clock() - self._tried
            if age > KEEP_SECONDS or (age > PAUSE_SECONDS and not self._knows(key_id)):
                self._refresh()
            if self._keys is None:
                raise ProviderUnavailable(self._issuer)
            return self._keys

    def address(self, name: str) -> str:
        """The address of one of the provider's endpoints."""
        self.with_id(None)
        try:
            return checked_url(str(self._about[name]))
        except (LookupError, ValueError) as error:
            raise ProviderUnavailable(f"{self._issuer} names no {name}") from error

    def have_scope(self, name: str) -> bool:
        """Whether the provider says that one may ask it for this scope."""
        found = self._about.get("scopes_supported")
        return isinstance(found, list) and name in found

    def _knows(self, key_id: str | None) -> bool:
        return self._keys is not None and (key_id is None or key_id in self._ids)

    def _refresh(self) -> None:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        self._tried = self._clock()
        try:
            about = self._fetch(self._issuer.rstrip("/") + DISCOVERY, None)
            if about.get("issuer") != self._issuer:
                raise ValueError(f"it calls itself {about.get('issuer')!r}")
            # Keys for encryption, and of kinds that we do not know, are none of ours.
            found = self._fetch(checked_url(str(about["jwks_uri"])), None)["keys"]
            usable = [key for key in found if key.get("kty") in ("RSA", "EC", "OKP")]
            self._keys = KeySet.import_key_set({"keys": usable})
            self._ids = {key.get("kid") for key in usable}
            self._about = about
        except (OSError, HTTPException, ValueError, LookupError, TypeError, JoseError) as error:
            # The keys from before stay good.
            log.warning("cannot get the keys of %s: %s", self._issuer, error)


class Provider:
    """Checks the tokens of one provider."""

    def __init__(self, terms: Terms, fetch: Fetch | None = None) -> None:
        try:
            import joserfc  # noqa: F401
        except ModuleNotFoundError as error:
            raise AccessError(
                "STACKSERVE_ACCESS=oidc needs the package joserfc",
                "Install it in the service's environment: pip install joserfc",
            ) from error
        checked_url(terms.issuer)
        self.terms = terms
        self.fetch = fetch or fetch_json
        self.keys = Keys(terms.issuer, self.fetch)

    def identify(self, token: str) -> Identity:
        """Who a token is for. Raises InvalidToken or ProviderUnavailable."""
        return self.identity(self.claims(token, self.terms.audience))

    def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        """What a valid token says. Raises InvalidToken or ProviderUnavailable."""
        from joserfc import jwt
        from joserfc.errors import ClaimError, ExpiredTokenError, JoseError

        keys = self.keys.with_id(key_id_of(token))
        required = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.terms.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            claims: Mapping[str, Any] = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            required.validate(dict(claims))
        except ExpiredTokenError as error:
            raise InvalidToken("it has expired") from error
        except ClaimError as error:
            raise InvalidToken(f"its claim {error.claim!r} does not fit") from error
        except (JoseError, ValueError, TypeError, LookupError) as error:
            raise InvalidToken("its signature does not fit") from error
        return claims

    def identity(self, claims: Mapping[str, Any]) -> Identity:
        subject = str(claims["sub"])
        owner = hashlib.sha256(f"{self.terms.issuer}\n{subject}".encode()).hexdigest()
        expires = float(claims["exp"]) + LEEWAY_SECONDS
        return Identity(subject, PROVIDER_OWNER + owner, self.terms.scopes_of(claims), expires)


def key_id_of(token: str) -> str | None:
    """The ID of the key that a token claims to be signed with. It only chooses among our keys."""
    if len(token) > MOST_TOKEN_BYTES:
        raise InvalidToken("it is too long")
    head = token.partition(".")[0]
    try:
        found = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        key_id = found.get("kid")
    except (ValueError, AttributeError, RecursionError) as error:
        raise InvalidToken("it is not a JWT") from error
    return key_id if isinstance(key_id, str) else None


def scope_map(text: str) -> dict[str, frozenset[Scope]]:
    """`staff=operate,staff=jobs` as a mapping. Raises ValueError."""
    found: dict[str, frozenset[Scope]] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        value, _, scope = pair.rpartition("=")
        if not value or scope not in set(Scope):
            names = ", ".join(scope.value for scope in Scope)
            raise ValueError(f"{pair!r} is not VALUE=SCOPE with one of the scopes {names}")
        found[value] = found.get(value, frozenset()) | {Scope(scope)}
    return found


def checked_url(url: str) -> str:
    """The URL, if what it gives can be trusted."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK):
        return url
    raise ValueError(f"{url} is not an https:// address")


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def fetch_json(url: str, form: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """A JSON object from the provider, within limits on time and bytes."""
    until = time.monotonic() + FETCH_SECONDS
    data = urlencode(form).encode() if form is not None else None
    request = Request(url, data, headers={"Accept": "application/json"})
    with build_opener(_NoRedirect).open(request, timeout=FETCH_SECONDS) as response:
        found = json.loads(_read(response, until))
    if not isinstance(found, dict):
        raise ValueError(f"{url} is not a JSON object")
    return found


def _read(response: IO[bytes], until: float) -> bytes:
    data = b""
    while piece := response.read1(65536):  # type: ignore[attr-defined]
        data += piece
        if len(data) > MOST_BYTES or time.monotonic() > until:
            raise ValueError("the answer is too large or too slow")
    return data
