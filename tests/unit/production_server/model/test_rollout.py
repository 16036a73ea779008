"""Trials of new versions: each change is whole, and survives a process that is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from production_server.errors import RegistryError
from production_server.model import activations, rollout
from production_server.model.card import Card, Feature
from production_server.model.registry import Registry
from production_server.model.rollout import Candidate, Happening, Mode

CARD = Card(
    name="toy",
    version="toy-1",
    kind="regression",
    target="Sum",
    features=[Feature(name="a", low=0, high=1, default=0.5)],
)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Three versions, of which the first is active."""
    found = Registry(tmp_path / "registry")
    model = tmp_path / "a.keras"
    for number in range(3):
        model.write_bytes(b"model %d" % number)
        found.add(CARD, model, activate=number == 0)
    return found


def canary(version: str = "toy-2") -> Candidate:
    return Candidate(version=version, share=0.1)


def event(registry: Registry) -> tuple[Happening, str, str]:
    found = rollout.last_event(registry)
    assert found is not None
    return found.what, found.version, found.why


def test_no_version_is_on_trial_at_first(registry: Registry) -> None:
    assert rollout.candidate(registry) is None
    assert rollout.previous(registry) is None
    for act in (rollout.promote, rollout.withdraw):
        with pytest.raises(RegistryError, match="no version is on trial"):
            act(registry)
    with pytest.raises(RegistryError, match="no version was active before toy-1"):
        rollout.rollback(registry)


def test_a_candidate_is_what_was_started(registry: Registry) -> None:
    trial = Candidate(
        version="toy-2", mode=Mode.SHADOW, share=0.5, since=5.0, promote_after=60, if_healthy=True
    )
    rollout.start(registry, trial)
    assert rollout.candidate(registry) == trial
    assert registry.active() == "toy-1"
    rollout.start(registry, canary("toy-3"))
    assert rollout.candidate(registry) == canary("toy-3").model_copy(
        update={"since": rollout.candidate(registry).since}  # type: ignore[union-attr]
    )


def test_promoting_and_rolling_back(registry: Registry) -> None:
    rollout.start(registry, canary())
    assert rollout.promote(registry, "it is good") == "toy-2"
    assert registry.active() == "toy-2"
    assert rollout.candidate(registry) is None
    assert rollout.previous(registry) == "toy-1"
    assert event(registry) == (Happening.PROMOTED, "toy-2", "it is good")
    assert rollout.rollback(registry, "it is not") == "toy-1"
    assert registry.active() == "toy-1"
    assert event(registry) == (Happening.ROLLED_BACK, "toy-2", "it is not")
    # Not to the version that was given up.
    with pytest.raises(RegistryError, match="no version was active before"):
        rollout.rollback(registry)


def test_rolling_back_goes_further_back_each_time(registry: Registry) -> None:
    registry.activate("toy-2")
    registry.activate("toy-3")
    assert [rollout.rollback(registry), rollout.rollback(registry)] == ["toy-2", "toy-1"]


def test_a_deleted_version_is_not_rolled_back_to(registry: Registry) -> None:
    registry.activate("toy-2")
    registry.activate("toy-3")
    registry.delete("toy-2")
    assert rollout.previous(registry) == "toy-1"
    assert rollout.rollback(registry) == "toy-1"


def test_rolling_back_withdraws_a_candidate_first(registry: Registry) -> None:
    registry.activate("toy-3")
    rollout.start(registry, canary())
    assert rollout.rollback(registry, "slow") == "toy-3"
    assert rollout.candidate(registry) is None
    assert event(registry) == (Happening.WITHDRAWN, "toy-2", "slow")
    assert rollout.previous(registry) == "toy-1"


@pytest.mark.parametrize("version", ["toy-1", "toy-2", "toy-3"])
def test_an_ordinary_activation_ends_the_trial(registry: Registry, version: str) -> None:
    rollout.start(registry, canary())
    registry.activate(version)
    assert rollout.candidate(registry) is None
    assert event(registry) == (Happening.ENDED, "toy-2", f"{version} was activated")
    registry.activate("toy-1")
    assert rollout.candidate(registry) is None


def test_a_candidate_cannot_be_deleted(registry: Registry) -> None:
    rollout.start(registry, canary())
    with pytest.raises(RegistryError, match="on trial as a canary") as caught:
        registry.delete("toy-2")
    assert "rollback" in caught.value.remedy
    registry.delete("toy-3")
    rollout.withdraw(registry)
    registry.delete("toy-2")


def test_a_candidate_whose_files_are_gone_is_none(registry: Registry) -> None:
    rollout.start(registry, canary())
    shutil.rmtree(registry.path / "toy-2")
    assert rollout.candidate(registry) is None


def test_what_cannot_be_on_trial(registry: Registry, tmp_path: Path) -> None:
    def refused(trial: Candidate, words: str) -> None:
        with pytest.raises(RegistryError, match=words):
            rollout.start(registry, trial)
        assert rollout.candidate(registry) is None

    refused(canary("toy-1"), "is the active version")
    refused(canary("toy-9"), "has no version")
    model = registry.model_path("toy-2")
    others = CARD.model_copy(
        update={"features": [CARD.features[0].model_copy(update={"name": "b"})]}
    )
    refused(canary(registry.add(others, model).version), "its features are others")
    labels = CARD.model_copy(update={"target": "Product"})
    refused(canary(registry.add(labels, model).version), "other labels")
    registry.model_path("toy-3").write_bytes(b"damaged")
    refused(canary("toy-3"), "damaged or was changed")


def test_only_the_candidate_that_was_judged(registry: Registry) -> None:
    rollout.start(registry, canary())
    judged = rollout.candidate(registry)
    rollout.start(registry, canary("toy-3"))
    for act in (rollout.promote, rollout.withdraw):
        with pytest.raises(RegistryError, match="another version is on trial"):
            act(registry, only=judged)
    assert registry.active() == "toy-1"


@pytest.mark.parametrize("content", [b"", b"{", b'{"candidate": {"version": "../x"}}', b"\xff"])
def test_a_damaged_state_stops_nothing(registry: Registry, content: bytes) -> None:
    (registry.path / activations.ROLLOUT_FILE).write_bytes(content)
    assert rollout.candidate(registry) is None
    registry.activate("toy-2")
    rollout.start(registry, canary("toy-3"))
    assert rollout.promote(registry) == "toy-3"
    assert rollout.previous(registry) == "toy-2"


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it happens."""


@pytest.mark.parametrize("writes", range(6))
@pytest.mark.parametrize("act", [rollout.promote, rollout.withdraw, rollout.rollback])
def test_a_killed_process_leaves_before_or_after(
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Registry], str],
    writes: int,
) -> None:
    """Kill at each write, and look at what the next process finds."""
    registry.activate("toy-3")
    if act is not rollout.rollback:
        rollout.start(registry, canary())
    trial, active = rollout.candidate(registry), registry.active()
    left = [writes]
    replace = os.replace

    def until_killed(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", until_killed)
        with suppress(Killed):
            act(registry)
    after = (rollout.candidate(registry), registry.active())
    assert (
        after
        in {
            rollout.promote: [(trial, active), (None, "toy-2")],
            rollout.withdraw: [(trial, active), (None, active)],
            rollout.rollback: [(None, active), (None, "toy-1")],
        }[act]
    )
    # And the one after that works, and does not bring an old trial back.
    registry.activate(active)
    assert rollout.candidate(registry) is None
    rollout.start(registry, canary())
    assert rollout.promote(registry) == "toy-2"
    assert rollout.previous(registry) == active
