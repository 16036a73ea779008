"""The figures for scaling, from what RabbitMQ, the workers and the web tier say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openstack_client.plan.load import Load, parse
from production_server.errors import ServiceError
from production_server.load.figures import by_vm, figures, wait_of
from production_server.load.heard import FILE, KEPT, hear, last_heard
from production_server.messaging.activity import WorkerActivity
from production_server.messaging.queue_counts import QueueCounts

LOCAL = "worker1.4711.0a1b2c3d@demo"
BUSY = WorkerActivity(["demo-1"], 40, 4.0, 3.0, 1.0)
IDLE = WorkerActivity(["demo-1", "demo-2"], 2, 0.0, 0.0, 0.0)


def test_nothing_to_do_and_nobody_to_do_it() -> None:
    assert figures(QueueCounts(0, 0, 0), {}, 0, None) == {
        "ready": {"predict": 0, "jobs": 0},
        "wait_seconds": None,
        "busy": None,
        "workers": 0,
        "processes": 0,
        "silent": 0,
        "chunks": 0,
        "chunks_per_second": 0.0,
        "jobs_seconds": 0.0,
    }


def test_a_process_that_does_not_answer_counts_as_busy() -> None:
    done = {LOCAL: IDLE, "worker1@w1": BUSY, "worker2@w1": IDLE}
    found = figures(QueueCounts(3, 12, 4), done, 30, 0.25)
    assert found["ready"] == {"predict": 3, "jobs": 12}
    assert (found["busy"], found["silent"], found["processes"]) == (0.5, 1, 4)
    assert (found["workers"], found["wait_seconds"]) == (1, 0.25)
    assert (found["chunks"], found["chunks_per_second"], found["jobs_seconds"]) == (30, 3.0, 10.0)


def test_the_launcher_can_read_them() -> None:
    """`stackserve autoscale` gets them as JSON, from a server of the same release."""
    found = figures(QueueCounts(3, 12, 4), {LOCAL: IDLE, "worker1@w1": BUSY}, 30, 0.25)
    read = parse(json.dumps(found).encode())
    assert read == Load(0.25, found["busy"], 30, 10.0, workers=1, silent=2)


def test_jobs_that_nobody_works_on_have_no_end() -> None:
    assert figures(QueueCounts(0, 1, 1), {LOCAL: IDLE}, 1, 0.1)["jobs_seconds"] is None


def test_a_worker_that_answers_and_takes_no_tasks() -> None:
    found = figures(QueueCounts(0, 0, 1), {LOCAL: BUSY, "worker1@w1": IDLE}, 0, 0.1)
    assert (found["busy"], found["silent"]) == (0.5, 0)


def check(*, broker: bool = True, worker: bool = True) -> dict[str, dict[str, object]]:
    failed = {"ok": False, "reason": "RabbitMQ accepts no messages", "remedy": "Make room."}
    return {
        "broker": {"ok": True} if broker else failed,
        "worker": {"ok": True, "seconds": 0.0042} if worker else failed,
    }


@pytest.mark.parametrize(
    ("checks", "took", "wait"),
    [
        (check(), 0.1, 0.0042),
        (check(worker=False), 3.2, 3.2),
        (check(worker=False), 0.1, None),
        ({}, 10.0, None),
    ],
)
def test_the_wait_of_a_prediction(
    checks: dict[str, dict[str, object]], took: float, wait: float | None
) -> None:
    assert wait_of(checks, took) == wait


def test_a_broker_that_accepts_nothing_has_no_figures() -> None:
    with pytest.raises(ServiceError, match="accepts no messages"):
        wait_of(check(broker=False, worker=False), 0.1)


def test_the_processes_of_a_vm_are_summed() -> None:
    done = {LOCAL: BUSY, "worker1@w1": BUSY, "worker2@w1": IDLE}
    assert by_vm(done, {"w1": 0.5, "w2": 86_400.0}) == {
        "w1": {
            "versions": ["demo-1", "demo-2"],
            "tasks": 42,
            "tasks_per_second": 4.0,
            "busy": 0.5,
            "last_heard": "1970-01-01T00:00:00+00:00",
        },
        "w2": {
            "versions": None,
            "tasks": None,
            "tasks_per_second": None,
            "busy": None,
            "last_heard": "1970-01-02T00:00:00+00:00",
        },
    }


def test_the_last_answer_is_kept(tmp_path: Path) -> None:
    assert last_heard(tmp_path) == {}
    assert hear(tmp_path, ["w1", "w2"], 100.0) == {"w1": 100.0, "w2": 100.0}
    assert hear(tmp_path, ["w2"], 200.0) == {"w1": 100.0, "w2": 200.0}
    assert last_heard(tmp_path) == {"w1": 100.0, "w2": 200.0}
    assert hear(tmp_path, [], 150.0 + KEPT) == {"w2": 200.0}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_damaged_file_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    assert hear(tmp_path, ["w1"], 1.0) == {"w1": 1.0}
