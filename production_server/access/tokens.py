"""API tokens: created once, shown once, and kept only as hashes.

A token is `st_ID_SECRET`. The secret has 256 random bits, so a fast hash protects it.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from production_server.access.policy import Scope
from production_server.errors import AccessError
from production_server.model.durable import write_whole

FORM = re.compile(r"st_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
NO_DIGEST = "0" * 64
PRIVATE = 0o600


class Token(BaseModel):
    """What is known of a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime | None
    digest: str

    def valid(self, now: datetime) -> bool:
        return self.expires is None or now < self.expires


class _File(BaseModel):
    tokens: list[Token] = []


class Tokens:
    """The tokens of one service, in a file that only its account can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "tokens.json"
        self._known: dict[str, Token] = {}
        self._mark: object = None

    def find(self, plain: str) -> Token | None:
        """The valid token with this text."""
        form = FORM.fullmatch(plain)
        token = self.with_id(form[1]) if form else None
        # Compared even if there is no such token, so that the time tells nothing.
        same = hmac.compare_digest(digest_of(plain), token.digest if token else NO_DIGEST)
        return token if same else None

    def with_id(self, token_id: str) -> Token | None:
        """The valid token with this ID."""
        self._look()
        token = self._known.get(token_id)
        return token if token and token.valid(_now()) else None

    def all(self) -> list[Token]:
        """All tokens, also those that have expired."""
        return self._read()

    def create(self, name: str, scopes: frozenset[Scope], expires: datetime | None) -> str:
        """Create a token and return its text, which cannot be had again."""
        if not NAME.fullmatch(name):
            raise AccessError(
                f"{name!r} is not a name for a token",
                "Use up to 40 lowercase letters, digits, dots, hyphens and underscores.",
            )
        token_id = secrets.token_hex(4)
        plain = f"st_{token_id}_{secrets.token_urlsafe(32)}"
        with self._changing() as tokens:
            kept = [token for token in tokens if token.valid(_now()) or token.name != name]
            if any(token.name == name for token in kept):
                raise AccessError(
                    f"there is a token {name!r} already",
                    f"Choose another name, or revoke it first: tokens revoke {name}",
                )
            new = Token(
                id=token_id,
                name=name,
                scopes=scopes,
                created=_now(),
                expires=expires,
                digest=digest_of(plain),
            )
            tokens[:] = [*kept, new]
        return plain

    def revoke(self, name: str) -> None:
        """Delete a token."""
        with self._changing() as tokens:
            kept = [token for token in tokens if token.name != name]
            if len(kept) == len(tokens):
                raise AccessError(f"there is no token {name!r}", "See them with: tokens list")
            tokens[:] = kept

    def _look(self) -> None:
        """Read the file again if it has changed. To find that out takes a microsecond."""
        try:
            status = self._path.stat()
            mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        except FileNotFoundError:
            mark = None
        if mark != self._mark:
            self._known = {token.id: token for token in self._read()}
            self._mark = mark

    def _read(self) -> list[Token]:
        try:
            return _File.model_validate_json(self._path.read_bytes()).tokens
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise AccessError(
                f"cannot read the tokens in {self._path}: {_reason(error)}",
                "Run this as the service's account. If the file is damaged, delete it, and create "
                "new tokens.",
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """The tokens, to change; they are written unless that fails."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                tokens = self._read()
                yield tokens
                text = _File(tokens=tokens).model_dump_json(indent=2)
                write_whole(self._path, text.encode(), PRIVATE)
        except OSError as error:
            raise AccessError(
                f"cannot write the tokens in {self._folder}: {_reason(error)}",
                "Run this as the service's account, and check that the disk has space.",
            ) from error


def digest_of(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


def _now() -> datetime:
    return datetime.now().astimezone()


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not a list of tokens"
