"""How a worker VM connects to its server, with its ticket: steps/join.py."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from production_server.remote.access import SERVER_NAME, Ticket
from tests.unit.cloud_init.steps import load

TICKET = Ticket(
    name="w1",
    host="10.0.0.3",
    port=5671,
    account="worker-w1",
    password="Secret_of-43-letters",
    ca="-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n",
    server_name=SERVER_NAME,
    vhost="stackserve",
)._asdict()


@pytest.fixture
def join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    program = load("steps/join.py")
    for name in ("TICKET", "AUTHORITY", "SETTINGS", "SERVICE"):
        monkeypatch.setattr(program, name, tmp_path / name.lower())
    monkeypatch.setattr(program, "try_connection", lambda _ticket: None)
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    (tmp_path / "settings").write_text("STACKSERVE_PORT=5100\n")
    return program


@pytest.mark.parametrize(("host", "shown"), [("10.0.0.3", "10.0.0.3"), ("fd00::3", "[fd00::3]")])
def test_the_ticket_becomes_the_services_settings(
    join: Any, tmp_path: Path, host: str, shown: str
) -> None:
    (tmp_path / "ticket").write_text(json.dumps(TICKET | {"host": host}))
    join.main()
    assert (tmp_path / "service").read_text() == (
        "STACKSERVE_PORT=5100\n"
        f"STACKSERVE_BROKER_URL=amqps://worker-w1:Secret_of-43-letters@{shown}:5671/stackserve\n"
        f"STACKSERVE_BROKER_CA={tmp_path / 'authority'}\n"
        "STACKSERVE_BROKER_NAME=stackserve-broker\n"
        "STACKSERVE_WORKER_VM=w1\n"
    )
    assert stat.S_IMODE((tmp_path / "service").stat().st_mode) == 0o640
    assert (tmp_path / "authority").read_text() == TICKET["ca"]


def test_the_console_never_shows_the_password(
    join: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ticket").write_text(json.dumps(TICKET))
    join.main()
    assert "Secret" not in "".join(capsys.readouterr())


class TestTakingTasks:
    """steps/taking_tasks.py"""

    def test_it_waits_for_every_worker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        program = load("steps/taking_tasks.py")
        said = iter(["", "taking tasks", "taking tasks", "taking tasks"])
        monkeypatch.setattr(program, "status", lambda _unit: next(said))
        monkeypatch.setattr(program, "PAUSE", 0.001)
        program.wait(["worker@1", "worker@2"], 10)
        assert next(said, None) is None

    def test_it_reports_those_that_do_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        program = load("steps/taking_tasks.py")
        said = {"worker@1": "taking tasks", "worker@2": "waiting for RabbitMQ"}
        monkeypatch.setattr(program, "status", said.__getitem__)
        with pytest.raises(SystemExit, match=r"after 0 s: worker@2 \(waiting for RabbitMQ\)$"):
            program.wait(list(said), 0)

    def test_the_words_are_those_of_the_worker(self) -> None:
        from production_server.worker.status import TAKING_TASKS

        assert load("steps/taking_tasks.py").TAKING_TASKS == TAKING_TASKS


def test_the_program_of_the_server_needs_no_installed_packages() -> None:
    """Root runs it, isolated: it must not run what the service's account compiled."""
    check = (
        "import sys; sys.path.insert(0, '.'); import production_server.remote.command;"
        "sys.exit(' '.join(name for name in ('celery', 'pydantic') if name in sys.modules) or 0)"
    )
    subprocess.run(["python3", "-ISBc", check], check=True)
