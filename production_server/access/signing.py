"""Signed cookies: the session of somebody who signed in, and the client that created a job."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from itsdangerous import BadSignature, Signer, TimestampSigner

from production_server.access.tokens import write_private
from production_server.errors import AccessError

KEY_BYTES = 32
SESSION_SECONDS = 12 * 3600


class Signing:
    """Signs with a key that all web processes share."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._sessions = TimestampSigner(key, salt="session", digest_method=hashlib.sha256)
        self._clients = Signer(key, salt="client", digest_method=hashlib.sha256)

    def session(self, token_id: str) -> str:
        """A new session for a token. Two sessions of one token differ."""
        return self._sessions.sign(f"{token_id}.{secrets.token_hex(8)}").decode()

    def token_of(self, session: str) -> str | None:
        """The token's ID; None if the session is not ours or too old."""
        try:
            value = self._sessions.unsign(session, max_age=SESSION_SECONDS).decode()
        except BadSignature:
            return None
        return value.partition(".")[0]

    def client(self, client_id: str) -> str:
        return self._clients.sign(client_id).decode()

    def client_of(self, cookie: str) -> str | None:
        """The client's ID; None if the cookie is not ours."""
        try:
            return self._clients.unsign(cookie).decode()
        except (BadSignature, UnicodeDecodeError):
            return None

    def csrf(self, session: str) -> str:
        """What a page of this session sends along to change something."""
        return hmac.new(self._key, f"csrf {session}".encode(), hashlib.sha256).hexdigest()


def signing_of(folder: Path) -> Signing:
    """The service's key, created by whoever needs it first."""
    path = folder / "signing.key"
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise AccessError(
            f"cannot read or write {path}: {error.strerror}",
            "Check that the disk has space, and that the folder belongs to the service's account.",
        ) from error
    if len(key) != KEY_BYTES:
        raise AccessError(f"{path} is damaged", "Delete it. Everybody has to sign in again.")
    return Signing(key)
