"""The workers on the operations page. What a worker VM says is not trusted."""

from __future__ import annotations

from typing import Any

from production_server.live.workers import LONGEST, MOST_VERSIONS, workers_of
from production_server.messaging.activity import WorkerActivity

STATE: dict[str, Any] = {
    "models": ["a-1", "a-2"],
    "load_failures": 0,
    "vm": None,
    "taking_tasks": True,
    "missing": {},
}


def test_a_worker_with_what_it_does() -> None:
    done = WorkerActivity(["a-1"], 10, 2.5, 0.0, 0.25)
    (got,) = workers_of({"worker1@blue": STATE}, {"worker1@blue": done})  # type: ignore[dict-item]
    assert (got.node, got.place, got.versions) == ("worker1@blue", "blue", ["a-1", "a-2"])
    assert (got.busy, got.tasks_per_second, got.takes_tasks) == (0.25, 2.5, True)


def test_one_that_lacks_a_version_says_why() -> None:
    state: Any = {**STATE, "taking_tasks": False, "missing": {"a-3": "no such version"}}
    (got,) = workers_of({"worker1.7.ab@host": state}, {})
    assert (got.place, got.takes_tasks, got.busy) == ("server", False, None)
    assert got.lacks == "a-3: no such version"


def test_nonsense_is_cut_and_never_fails() -> None:
    wild: Any = {"models": ["x" * 500] * 100, "missing": {"v": "y" * 10_000, 1: 2}, "vm": 3}
    states: Any = {
        "worker1@a": wild,
        "worker2@a": {"models": "text", "missing": "text"},
        "<b>": STATE,
        "a" * 300 + "@b": STATE,
    }
    got = workers_of(states, {})
    assert [one.node for one in got] == ["worker1@a", "worker2@a"]
    assert len(got[0].versions) == MOST_VERSIONS
    assert max(len(name) for name in got[0].versions) == 80
    assert len(got[0].lacks) <= 3 * (LONGEST + 2)
    assert got[1].versions == []
