"""The policy: which scope each route needs, and what a caller may do.

Nothing here does I/O. A test compares ROUTES with the routes that exist.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a caller may be allowed to do."""

    PREDICT = "predict"
    JOBS = "jobs"
    MODELS = "models"
    OPERATE = "operate"


MEANINGS = {
    Scope.PREDICT: "use the pages and get predictions",
    Scope.JOBS: "create jobs, and read and delete one's own",
    Scope.MODELS: "list, add, train, activate and delete versions of the model",
    Scope.OPERATE: "read metrics and details; with jobs, also everybody's jobs",
}


class Preset(StrEnum):
    """The values of STACKSERVE_ACCESS."""

    OPEN = "open"
    TOKEN = "token"
    OIDC = "oidc"


ANONYMOUS: dict[Preset, frozenset[Scope]] = {
    Preset.OPEN: frozenset({Scope.PREDICT, Scope.JOBS}),
    Preset.TOKEN: frozenset(),
    Preset.OIDC: frozenset(),
}

# None: everybody may.
ROUTES: dict[tuple[str, str], Scope | None] = {
    ("GET", "/ping"): None,
    ("GET", "/ready"): None,
    ("GET", "/alive"): None,
    ("GET", "/static/<path:filename>"): None,
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("GET", "/sign-in/provider"): None,
    ("GET", "/sign-in/callback"): None,
    ("POST", "/sign-out"): None,
    ("GET", "/"): Scope.PREDICT,
    ("GET", "/predictions"): Scope.PREDICT,
    ("GET", "/predictions/sample.csv"): Scope.PREDICT,
    ("GET", "/predict"): Scope.PREDICT,
    ("POST", "/predict"): Scope.PREDICT,
    ("GET", "/accuracy"): Scope.PREDICT,
    ("GET", "/openapi.json"): Scope.PREDICT,
    ("POST", "/jobs"): Scope.JOBS,
    ("GET", "/jobs"): Scope.JOBS,
    ("GET", "/jobs/<job_id>"): Scope.JOBS,
    ("GET", "/jobs/<job_id>/result"): Scope.JOBS,
    ("DELETE", "/jobs/<job_id>"): Scope.JOBS,
    ("GET", "/models"): Scope.MODELS,
    ("POST", "/models"): Scope.MODELS,
    ("POST", "/models/<version>/activate"): Scope.MODELS,
    ("DELETE", "/models/<version>"): Scope.MODELS,
    ("GET", "/training"): Scope.MODELS,
    ("POST", "/training"): Scope.MODELS,
    ("GET", "/training/<run_id>"): Scope.MODELS,
    ("DELETE", "/training/<run_id>"): Scope.MODELS,
    ("POST", "/outcomes"): Scope.MODELS,
    ("GET", "/metrics"): Scope.OPERATE,
    ("GET", "/operations"): Scope.OPERATE,
    ("GET", "/operations/events"): Scope.OPERATE,
    ("GET", "/rollout"): Scope.OPERATE,
}
# The start of the owner of a job that was created with a token.
TOKEN_OWNER = "token:"
CLIENT_OWNER = "client:"
PROVIDER_OWNER = "oidc:"


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    name: str
    scopes: frozenset[Scope]
    owner: str | None = None
    """Whose jobs the caller creates; None for a client that has not created any."""
    session: str = ""
    """The cookie, if that is what identifies the caller."""

    @property
    def operates(self) -> bool:
        return Scope.OPERATE in self.scopes


def needed(method: str, route: str) -> Scope | None:
    """The scope for a route. What is not in the table takes the strongest one."""
    if method == "OPTIONS":
        return None
    return ROUTES.get(("GET" if method == "HEAD" else method, route), Scope.OPERATE)


def may_use(caller: Caller, owner: str | None, preset: Preset) -> bool:
    """Whether a caller who knows the address of a job may read and delete it."""
    if caller.operates or (owner is not None and owner == caller.owner):
        return True
    # Of a client without credentials, knowing the address is the proof: nobody can guess it.
    return preset is Preset.OPEN and (owner is None or owner.startswith(CLIENT_OWNER))


def own_key(owner: str | None, key: str | None) -> str | None:
    """An Idempotency-Key as it is stored: two owners may use the same one."""
    if key is None or owner is None:
        return key
    return hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()
