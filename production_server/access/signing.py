"""Signed cookies: the session of somebody who signed in, and the client that created a job."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any

from itsdangerous import BadData, BadSignature, Signer, URLSafeTimedSerializer

from production_server.access.tokens import PRIVATE
from production_server.errors import AccessError
from production_server.model.durable import sync, write_whole

KEY_BYTES = 32
SESSION_SECONDS = 12 * 3600
LOGIN_SECONDS = 600
OWN, OWN_SECONDS = "own_", 60


class Signing:
    """Signs with a key that all web processes share."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._sessions = self._sealing("session")
        self._logins = self._sealing("login")
        self._own = self._sealing("own")
        self._clients = Signer(key, salt="client", digest_method=hashlib.sha256)

    def session(self, content: dict[str, Any]) -> str:
        """A new session with this content. Two sessions with the same content differ."""
        return str(self._sessions.dumps({**content, "nonce": secrets.token_hex(8)}))

    def session_of(self, cookie: str) -> dict[str, Any]:
        """The content of a session; {} if it is not ours or too old."""
        return dict(_opened(self._sessions, cookie, SESSION_SECONDS))

    def login(self, content: dict[str, Any]) -> str:
        """What a browser remembers while its person signs in with the identity provider."""
        return str(self._logins.dumps(content))

    def login_of(self, cookie: str) -> dict[str, Any]:
        return dict(_opened(self._logins, cookie, LOGIN_SECONDS))

    def client(self, client_id: str) -> str:
        return self._clients.sign(client_id).decode()

    def client_of(self, cookie: str) -> str | None:
        """The client's ID; None if the cookie is not ours."""
        try:
            return self._clients.unsign(cookie).decode()
        except (BadSignature, UnicodeDecodeError):
            return None

    def own_token(self) -> str:
        """What a program with this key sends to its own web tier; good for a minute."""
        return f"{OWN}{self._own.dumps(secrets.token_hex(8))}"

    def is_own(self, token: str) -> bool:
        return token.startswith(OWN) and bool(
            _opened(self._own, token.removeprefix(OWN), OWN_SECONDS)
        )

    def _sealing(self, purpose: str) -> URLSafeTimedSerializer:
        digest = {"digest_method": hashlib.sha256}
        return URLSafeTimedSerializer(self._key, salt=purpose, signer_kwargs=digest)

    def csrf(self, session: str) -> str:
        """What a page of this session sends along to change something."""
        return hmac.new(self._key, f"csrf {session}".encode(), hashlib.sha256).hexdigest()


def _opened(sealing: URLSafeTimedSerializer, text: str, seconds: int) -> Any:
    """What was signed; {} if it was not signed with this key, or too long ago."""
    try:
        return sealing.loads(text, max_age=seconds)
    except BadData:
        return {}


def signing_of(folder: Path) -> Signing:
    """The service's key, created by whoever needs it first."""
    path = folder / "signing.key"
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path)
        key = path.read_bytes()
    except OSError as error:
        raise AccessError(
            f"cannot read or write {path}: {error.strerror}",
            "Check that the disk has space, and that the folder belongs to the service's account.",
        ) from error
    if len(key) != KEY_BYTES:
        raise AccessError(f"{path} is damaged", "Delete it. Everybody has to sign in again.")
    return Signing(key)


def _create(path: Path) -> None:
    """Create the key, unless another process is faster."""
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    write_whole(fresh, secrets.token_bytes(KEY_BYTES), PRIVATE)
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    sync(path.parent)
