"""Which version is active, which ones were before it, and which one is on trial.

    <registry>/active          the name of a version, replaced atomically
    <registry>/rollout.json    the candidate, and a short history of activations

Every function here that writes expects that the caller holds the registry's lock. A process may be
killed between the two files. So a candidate names the version beside which it was started, and only
counts while that one is active; and the history is written before the version that it makes room
for.
"""

from __future__ import annotations

import logging
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from production_server.model.card import VERSION_PATTERN
from production_server.model.durable import write_whole

log = logging.getLogger(__name__)

ACTIVE_FILE = "active"
ROLLOUT_FILE = "rollout.json"
# Versions to which `rollback` can return, one after the other.
REMEMBERED = 10

Version = Annotated[str, Field(pattern=VERSION_PATTERN, max_length=80)]


class Mode(StrEnum):
    CANARY = "canary"  # answers its share of the requests
    SHADOW = "shadow"  # gets a copy of its share of the requests, and its answers are discarded


class Candidate(BaseModel):
    """A version on trial beside the active one."""

    # A newer release may have written more.
    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Version
    mode: Mode = Mode.CANARY
    share: float = Field(ge=0, le=1)
    since: float = Field(default_factory=time.time, description="Unix seconds")
    promote_after: float | None = Field(None, gt=0, description="seconds from `since`")
    if_healthy: bool = False

    @property
    def number(self) -> int:
        """Tells this trial from others of the same version."""
        return round(self.since * 1000)


class Happening(StrEnum):
    STARTED = "started"
    PROMOTED = "promoted"
    WITHDRAWN = "withdrawn"
    ENDED = "ended by an activation"
    ROLLED_BACK = "rolled back"


class Event(BaseModel):
    """What happened to a version, and why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    what: Happening
    version: Version
    at: float = Field(default_factory=time.time, description="Unix seconds")
    why: str = ""


class State(BaseModel):
    """The contents of rollout.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    candidate: Candidate | None = None
    # The version beside which the candidate was started.
    beside: str = ""
    # Versions that were active before, oldest first.
    history: list[Version] = []
    event: Event | None = None

    def on_trial(self, active: str | None) -> Candidate | None:
        """The candidate, unless another version became active since it was started."""
        return self.candidate if self.beside == active else None

    def before(self, active: str | None) -> list[str]:
        """The history without the active version at its end, as a killed process can leave it."""
        return self.history[:-1] if self.history[-1:] == [active] else self.history


def read_state(registry: Path) -> State:
    """The state of a registry. Without a file that can be read, there is none."""
    path = registry / ROLLOUT_FILE
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return State()
    except (OSError, ValidationError) as error:
        # The service answers without a candidate, so this must not stop it.
        log.warning("ignoring %s, which cannot be read: %s", path, error)
        return State()


def write_state(registry: Path, state: State) -> None:
    write_whole(registry / ROLLOUT_FILE, state.model_dump_json(indent=1).encode() + b"\n")


def write_active(registry: Path, version: str, before: str | None, event: Event | None) -> None:
    """Make a version the active one, in place of `before`. A candidate's trial ends with that.

    `event` says why; without one, this is an ordinary activation.
    """
    state = read_state(registry)
    trial = state.on_trial(before)
    history = state.before(before)
    if before is not None and before != version:
        history = [*history, before][-REMEMBERED:]
    during = State(
        candidate=trial, beside=state.beside if trial else "", history=history, event=state.event
    )
    if trial is not None and event is None:
        event = Event(what=Happening.ENDED, version=trial.version, why=f"{version} was activated")
    # A killed process leaves the trial as it was, or ended by the version that is active.
    if during != state:
        write_state(registry, during)
    write_whole(registry / ACTIVE_FILE, f"{version}\n".encode())
    if trial is not None or event is not None:
        write_state(registry, State(history=history, event=event or state.event))
