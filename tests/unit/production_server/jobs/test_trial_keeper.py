"""The recorder ends a trial that is over or unhealthy, with the counts of several processes."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from production_server.jobs.store import Store
from production_server.jobs.trial_keeper import TrialKeeper
from production_server.model import rollout
from production_server.model.registry import Registry
from production_server.model.rollout import Candidate, Happening
from tests.support.versions import newer

OLD, NEW = "diabetes-1", "diabetes-2"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    found = Registry(tmp_path / "models")
    found.seed()
    assert newer(found, activate=False) == NEW
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")


def trial(**changes: object) -> Candidate:
    given = {"version": NEW, "share": 0.5, "since": 1000, "promote_after": 60, "if_healthy": True}
    return Candidate.model_validate(given | changes)


def test_it_promotes_a_healthy_one_in_time(registry: Registry, store: Store) -> None:
    keeper = TrialKeeper(registry, store)
    rollout.start(registry, trial())
    store.count(trial().number, OLD, {"requests": 100})
    store.count(trial().number, NEW, {"requests": 100})
    keeper.look(1059)
    assert rollout.candidate(registry) == trial()
    keeper.look(1060)
    assert registry.active() == NEW
    event = rollout.last_event(registry)
    assert event is not None and event.what is Happening.PROMOTED
    assert "60 s are over" in event.why
    keeper.look(1061)


def test_it_withdraws_an_unhealthy_one_and_says_why(
    registry: Registry, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    rollout.start(registry, trial())
    store.count(trial().number, OLD, {"requests": 100})
    store.count(trial().number, NEW, {"requests": 100, "failures": 30})
    # An earlier trial of the same version does not count.
    store.count(trial(since=900).number, NEW, {"requests": 9000})
    with caplog.at_level(logging.WARNING):
        TrialKeeper(registry, store).look(1001)
    assert rollout.candidate(registry) is None and registry.active() == OLD
    event = rollout.last_event(registry)
    assert event is not None and event.what is Happening.WITHDRAWN
    assert "30.0% of its requests fail" in event.why
    assert f"withdrew model {NEW}: 30.0%" in caplog.text


def test_it_leaves_others_alone(registry: Registry, store: Store) -> None:
    by_hand = trial(promote_after=None, if_healthy=False)
    rollout.start(registry, by_hand)
    store.count(by_hand.number, OLD, {"requests": 100})
    store.count(by_hand.number, NEW, {"requests": 100, "failures": 100})
    TrialKeeper(registry, store).look(1e9)
    assert rollout.candidate(registry) == by_hand


def test_several_processes_count_at_once(store: Store) -> None:
    def add() -> None:
        for _ in range(25):
            store.count(7, NEW, {"requests": 1, "seconds": 0.5})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.count(0, NEW, {"outcomes": 1})
    assert store.counted(7) == {NEW: {"requests": 100, "seconds": 50}}
    assert store.counted(0) == {NEW: {"outcomes": 1}}
    month = 30 * 86_400_000
    store.count(7 + 4 * month, NEW, {"requests": 1})
    assert (store.counted(7), store.counted(0)) == ({}, {NEW: {"outcomes": 1}})
