"""stackserve-workers: what it reads on the server, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import ServiceError
from production_server.messaging.workers import WorkerState
from production_server.remote import command, workers
from production_server.remote.rabbitmqctl import RabbitMQ


@pytest.mark.parametrize(("given", "processes"), [("auto", 4), ("2", 4), ("16", 16)])
def test_a_worker_may_run_as_many_processes_as_it_will(
    tmp_path: Path, given: str, processes: int
) -> None:
    (tmp_path / "settings.env").write_text(f"ROLE=server\nWORKERS={given}\n")
    assert command.usual_processes(tmp_path / "settings.env") == processes
    assert command.usual_processes(tmp_path / "missing.env") == 4


def test_a_server_of_an_older_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="no certificate for worker VMs") as missing:
        command.authority(tmp_path / "authority.pem")
    assert "--recreate" in missing.value.remedy


def test_an_error_is_one_line_and_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "AUTHORITY", tmp_path / "missing")
    monkeypatch.setattr(command.sys, "argv", ["stackserve-workers", "drain", "W1"])
    monkeypatch.setattr(command, "read_settings", lambda _path: {})
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert str(ended.value) == (
        "error: 'W1' cannot be a worker's name\n  Use only lowercase letters, digits and -."
    )


class Fake(RabbitMQ):
    """A broker that knows no account and has these queues of questions."""

    def run(self, *arguments: str, given: str = "") -> str:
        raise ServiceError(f"{arguments[0]} failed: User 'worker-w1' does not exist")

    def rows(self, what: str, *columns: str) -> list[dict[str, object]]:
        return [
            {"name": f"worker{number}@{vm}.stackserve.pidbox", "consumers": connected}
            for number, vm, connected in ((1, "w1", 1), (2, "w1", 0), (1, "w2", 0))
        ] + [{"name": "worker1.77.ab@front.stackserve.pidbox", "consumers": 1}]


class Asked:
    """Records what is deleted. One process of w1 answers, which has taken no task yet."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def describe(self, nodes: list[str]) -> list[WorkerState]:
        assert nodes == ["worker1@w1"]
        missing = {"toy-2": "no space left"}
        return [
            WorkerState(
                models=["toy-1"], load_failures=3, vm="w1", taking_tasks=False, missing=missing
            )
        ]

    def drain(self, nodes: list[str], timeout: float) -> dict[str, bool]:
        return {"worker1@w1": False} if "worker1@w1" in nodes else {}

    def delete_queues(self, queues: list[str]) -> None:
        self.deleted += queues

    def activities(self) -> dict[str, dict[str, object]]:
        return {"w1": workers.UNKNOWN | {"tasks": 7}, "gone": workers.UNKNOWN}


def test_the_servers_own_workers_are_not_listed() -> None:
    assert workers.listed(Fake(), Asked()) == [
        {
            "name": "w1",
            "connected": True,
            "processes": 1,
            **workers.UNKNOWN,
            "tasks": 7,
            "taking_tasks": 0,
            "missing": {"toy-2": "no space left"},
        },
        {
            "name": "w2",
            "connected": False,
            "processes": 0,
            **workers.UNKNOWN,
            "taking_tasks": 0,
            "missing": {},
        },
    ]


def test_removing_an_account_that_is_gone_still_deletes_its_queues() -> None:
    asked = Asked()
    workers.remove(Fake(), asked, "w1")
    assert {f"worker{number}@w1.stackserve.pidbox" for number in (1, 64)} < set(asked.deleted)
    assert {f"worker{number}@w1.stackserve.models" for number in (1, 64)} < set(asked.deleted)
    assert not [queue for queue in asked.deleted if "@w1." not in queue]


def test_a_process_that_does_not_answer_is_named() -> None:
    with pytest.raises(ServiceError, match=r"^worker1@w1 did not finish within 1 s"):
        workers.drain(Fake(), Asked(), "w1", timeout=1)


def test_a_worker_that_is_not_connected_needs_no_drain() -> None:
    workers.drain(Fake(), Asked(), "w2", timeout=1)
