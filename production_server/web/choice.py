"""Which version answers a request: the active one, the one on trial, or the one it asks for."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from flask import request

from production_server.access.policy import Caller
from production_server.access.policy import Scope as AccessScope
from production_server.model import rollout
from production_server.model.card import is_version
from production_server.model.rollout import Candidate, Mode
from production_server.web.access import CALLER, Access, check_scope, current
from production_server.web.bodies import Scope
from production_server.web.current_model import CurrentModel, Pinned
from production_server.web.problems import Problem
from production_server.web.shares import origin_of

PARAMETER = "version"
# The cards of so many other versions are kept. Each takes some milliseconds to read.
MOST_OTHERS = 4
# Every worker answers the question whether it has one, so it is not asked for each request.
KNOWN_SECONDS, ASK_SECONDS = 30.0, 1.0
_RANGE = 1 << 64
METHODS = ("GET", "HEAD", "POST")


def gets_candidate(candidate: Candidate, client: str) -> bool:
    """Whether a client is in the share: always the same one, and with a larger share still."""
    if candidate.mode is not Mode.CANARY:
        return False
    text = f"{candidate.version}\n{client}".encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
    return number < candidate.share * _RANGE


def for_page(pinned: Pinned) -> Pinned:
    """The version for the page of the current Flask request."""
    trial = pinned.trial
    if trial is None:
        return pinned
    client = current().owner or origin_of(request.remote_addr)
    return trial.pinned if gets_candidate(trial.candidate, client) else pinned


@dataclass
class Other:
    """A version that is neither active nor on trial, and whether the workers have loaded it."""

    pinned: Pinned
    loaded: bool = False
    ask_again: float = 0.0
    asking: threading.Lock = field(default_factory=threading.Lock)


class Choice:
    """The choices of one web process, for requests that Flask does not see."""

    def __init__(self, access: Access, models: Callable[[], CurrentModel]) -> None:
        self._access = access
        self._models = models
        self._others: dict[str, Other] = {}

    async def __call__(self, scope: Scope, pinned: Pinned) -> Pinned:
        """The version for a request with a query, or during a trial."""
        if scope["method"] not in METHODS:
            return pinned  # its rows will be refused
        asked = self._asked_for(scope, pinned)
        if asked is not None:
            return await self._named(asked, scope, pinned)
        trial = pinned.trial
        if trial is None or trial.candidate.mode is not Mode.CANARY:
            return pinned
        client = await self._client(scope)
        return trial.pinned if gets_candidate(trial.candidate, client) else pinned

    def _asked_for(self, scope: Scope, pinned: Pinned) -> str | None:
        """The version in the query, which is taken out of it."""
        query: bytes = scope["query_string"]
        if b"version=" not in query:
            return None
        if scope["method"] != "POST" and PARAMETER in pinned.schema.card.feature_names:
            return None
        parts = query.split(b"&")
        named = [part for part in parts if part.startswith(b"version=")]
        if not named:
            return None
        scope["query_string"] = b"&".join(part for part in parts if part not in named)
        values = parse_qsl(named[0].decode("ascii", "replace"), keep_blank_values=True)
        asked = values[0][1]
        if len(named) > 1 or not is_version(asked):
            raise Problem(
                422,
                "invalid_version",
                f"version={asked[:80]} is not the name of a version."
                if len(named) == 1
                else "The query names a version more than once.",
                f"Name one, such as version={pinned.version}.",
            )
        return asked

    async def _named(self, version: str, scope: Scope, pinned: Pinned) -> Pinned:
        if version == pinned.version:
            return pinned
        if pinned.trial is not None and version == pinned.trial.pinned.version:
            return pinned.trial.pinned
        if not await asyncio.to_thread(self._for_everybody, version):
            # Workers keep three versions in memory. Strangers must not make them change these.
            check_scope(await self._caller(scope), AccessScope.MODELS)
        return await asyncio.to_thread(self._other, version)

    def _for_everybody(self, version: str) -> bool:
        registry = self._models().registry
        trial = rollout.candidate(registry)
        if trial is not None and trial.version == version:
            raise no_version(f"The workers have not loaded {version}, which is on trial.")
        return version == rollout.previous(registry)

    def _other(self, version: str) -> Pinned:
        models = self._models()
        if not models.registry.holds(version):
            self._others.pop(version, None)
            raise no_version(f"There is no version {version}.")
        found = self._others.get(version)
        if found is None:
            found = self._others[version] = Other(models.pin(version))
            for old in list(self._others)[:-MOST_OTHERS]:
                self._others.pop(old, None)
        with found.asking:
            now = time.monotonic()
            if now >= found.ask_again:
                found.loaded = models.workers_would_answer(version)
                found.ask_again = now + (KNOWN_SECONDS if found.loaded else ASK_SECONDS)
        if not found.loaded:
            raise Problem(
                503,
                "version_loading",
                f"The workers are loading {version}.",
                "Try again in a few seconds.",
                headers={"Retry-After": "2"},
            )
        return found.pinned

    async def _client(self, scope: Scope) -> str:
        """Who sent a request, as far as anything is known of it."""
        caller = scope.get(CALLER)
        if caller is None and _may_tell(scope):
            try:
                caller = await self._caller(scope)
            except Problem:
                caller = None  # everybody may predict, so wrong credentials do not matter
        if caller is not None and caller.owner:
            return str(caller.owner)
        client = scope.get("client")
        return origin_of(client[0] if client else None)

    async def _caller(self, scope: Scope) -> Caller:
        found: Caller = scope.get(CALLER) or await self._access.identify(scope)
        return found


def _may_tell(scope: Scope) -> bool:
    return any(name in (b"authorization", b"cookie") for name, _ in scope["headers"])


def no_version(detail: str) -> Problem:
    return Problem(
        404,
        "version_not_found",
        detail,
        "Leave out `version` to get an answer of the active one. GET /models lists all versions.",
    )
