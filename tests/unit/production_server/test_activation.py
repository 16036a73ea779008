"""What `models activate` says about the workers."""

from __future__ import annotations

from production_server.cli.activation import report, waiting
from production_server.messaging.workers import WorkerState


def worker(*models: str, vm: str | None = None, why: str = "") -> WorkerState:
    missing = {"toy-2": why} if why else {}
    return WorkerState(
        models=list(models), load_failures=0, vm=vm, taking_tasks=True, missing=missing
    )


HAS = worker("toy-1", "toy-2")
LATE = worker("toy-1", vm="w1")
CANNOT = worker("toy-1", vm="w2", why="no space left on device")


def test_it_waits_for_those_that_may_still_load_it() -> None:
    assert waiting([HAS, LATE], "toy-2")
    assert not waiting([HAS, CANNOT], "toy-2")


def test_all_have_it() -> None:
    assert report([HAS, HAS], "toy-2") == ["2 of 2 worker processes have loaded it."]


def test_a_worker_vm_that_cannot_get_it_is_named_once() -> None:
    assert report([HAS, CANNOT, CANNOT], "toy-2") == [
        "1 of 3 worker processes have loaded it.",
        "Worker VM w2 has not: no space left on device",
        "They take no tasks until they have it. They keep trying.",
    ]


def test_without_any_the_previous_version_stays() -> None:
    assert report([CANNOT, worker("toy-1")], "toy-2") == [
        "0 of 2 worker processes have loaded it.",
        "Worker VM w2 has not: no space left on device",
        "A worker on this server has not: not yet",
        "The previous version stays in use until a worker has loaded it.",
    ]
