"""What workers say is checked: a worker VM can say anything."""

from __future__ import annotations

import math
from typing import Any

import pytest

from production_server.messaging.activity import WorkerActivity, valid, vm_of

GOOD: dict[str, Any] = {
    "models": ["demo-1"],
    "tasks": 7,
    "tasks_per_second": 0.7,
    "chunks_per_second": 0.1,
    "busy": 0.25,
}


def test_a_good_reply() -> None:
    assert valid([{"worker1@w1": GOOD}]) == {
        "worker1@w1": WorkerActivity(["demo-1"], 7, 0.7, 0.1, 0.25)
    }


@pytest.mark.parametrize(
    "change",
    [
        {"busy": 1.5},
        {"busy": math.nan},
        {"tasks": -1},
        {"tasks": 1 << 60},
        {"tasks_per_second": math.inf},
        {"models": "demo-1"},
        {"models": ["x" * 81]},
        {"models": ["x"] * 17},
    ],
)
def test_figures_that_cannot_be(change: dict[str, Any]) -> None:
    assert valid([{"worker1@w1": GOOD | change}, {"worker1@w2": GOOD}]).keys() == {"worker1@w2"}


@pytest.mark.parametrize(
    "reply", [None, [], "x", {7: GOOD}, {"w1": GOOD}, {"a@b\n": GOOD}, {"a@b": 3}]
)
def test_replies_of_another_form(reply: object) -> None:
    assert valid([reply]) == {}


def test_the_vm_of_a_node() -> None:
    assert vm_of("worker12@demo-worker-1") == "demo-worker-1"
    assert vm_of("worker1.4711.0a1b2c3d@demo") is None
    assert vm_of("embedded.4711.0a1b2c3d@demo") is None
