"""A new version's trial beside the active one: start, promote, withdraw, roll back.

A canary answers its share of the requests. A shadow gets a copy of them, and nobody sees its
answers. This module only changes the registry; the processes of the service follow it.
"""

from __future__ import annotations

from production_server.errors import RegistryError
from production_server.model.activations import (
    Candidate,
    Event,
    Happening,
    Mode,
    State,
    read_state,
    write_active,
    write_state,
)
from production_server.model.card import Card
from production_server.model.registry import Registry
from production_server.places import COMMAND

__all__ = [
    "Candidate",
    "Event",
    "Happening",
    "Mode",
    "candidate",
    "last_event",
    "previous",
    "promote",
    "rollback",
    "start",
    "withdraw",
]


def candidate(registry: Registry) -> Candidate | None:
    """The version on trial. This reads two small files, so it can be called often."""
    return _on_trial(registry, read_state(registry.path))


def last_event(registry: Registry) -> Event | None:
    """What happened last to a version."""
    return read_state(registry.path).event


def previous(registry: Registry) -> str | None:
    """The version that was active before, if the registry still has it."""
    history = _to_return_to(registry, read_state(registry.path))
    return history[-1] if history else None


def start(registry: Registry, trial: Candidate) -> None:
    """Put a version on trial, in place of another candidate."""
    with registry.frozen():
        registry.checked_model_path(trial.version)
        active = registry.active()
        if trial.version == active:
            raise RegistryError(
                f"{active} is the active version, so it cannot be a candidate beside itself",
                f"Name another version; list them: {COMMAND} models list",
            )
        refuse_others(registry.card(active), registry.card(trial.version))
        state = read_state(registry.path)
        words = f"{trial.mode} with a share of {trial.share:.4g}"
        write_state(
            registry.path,
            State(
                candidate=trial,
                beside=active,
                history=state.before(active),
                event=Event(
                    what=Happening.STARTED, version=trial.version, at=trial.since, why=words
                ),
            ),
        )


def refuse_others(active: Card, other: Card) -> None:
    """Raise RegistryError if clients could not send the same rows to both, or read the answers."""
    if other.feature_names != active.feature_names:
        difference = "its features are others"
    elif (other.kind, list(other.output.labels)) != (active.kind, list(active.output.labels)):
        difference = "its answers are of another kind, or have other labels"
    else:
        return
    raise RegistryError(
        f"{other.version} cannot be on trial beside {active.version}: {difference}",
        f"Clients have to change for it. To serve it to all of them: {COMMAND} models activate "
        f"{other.version}",
    )


def promote(registry: Registry, why: str = "", *, only: Candidate | None = None) -> str:
    """Make the candidate the active version, and return it. With `only`, no other than that."""
    with registry.frozen():
        version = _required(registry, only).version
        registry.checked_model_path(version)
        event = Event(what=Happening.PROMOTED, version=version, why=why)
        write_active(registry.path, version, registry.active(), event)
        return version


def withdraw(registry: Registry, why: str = "", *, only: Candidate | None = None) -> str:
    """End the candidate's trial, and return its version. The active one stays."""
    with registry.frozen():
        version = _required(registry, only).version
        state = read_state(registry.path)
        event = Event(what=Happening.WITHDRAWN, version=version, why=why)
        write_state(registry.path, State(history=state.history, event=event))
        return version


def rollback(registry: Registry, why: str = "") -> str:
    """Withdraw the candidate, or else activate the version before. Return what is active then."""
    if candidate(registry) is not None:
        withdraw(registry, why)
        return registry.active()
    with registry.frozen():
        active = registry.active()
        history = _to_return_to(registry, read_state(registry.path))
        if not history:
            raise RegistryError(
                f"no version was active before {active} that the registry still has",
                f"Activate one by its name: {COMMAND} models activate VERSION",
            )
        version = history[-1]
        registry.checked_model_path(version)
        event = Event(what=Happening.ROLLED_BACK, version=active, why=why)
        write_active(registry.path, version, active, event)
        # So the next one goes further back, and not to the version that was given up.
        write_state(registry.path, State(history=history[:-1], event=event))
        return version


def _to_return_to(registry: Registry, state: State) -> list[str]:
    held = set(registry.versions())
    return [one for one in state.before(registry.active()) if one in held]


def _on_trial(registry: Registry, state: State) -> Candidate | None:
    # Without a candidate, and so most of the time, this is one look at one file.
    if state.candidate is None:
        return None
    trial = state.on_trial(registry.active())
    return trial if trial is not None and registry.holds(trial.version) else None


def _required(registry: Registry, only: Candidate | None) -> Candidate:
    trial = candidate(registry)
    if trial is not None and only not in (None, trial):
        raise RegistryError(f"another version is on trial meanwhile: {trial.version}")
    if trial is None:
        raise RegistryError(
            "no version is on trial",
            f"Start one: {COMMAND} models canary VERSION, or {COMMAND} models shadow VERSION",
        )
    return trial
