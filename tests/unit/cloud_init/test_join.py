"""How a worker VM gets its code and its ticket: bin/stackserve-deliver and steps/join.py."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from production_server.remote.access import SERVER_NAME, Ticket
from tests.unit.cloud_init.steps import load

CODE = b"the code"
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


@pytest.fixture
def deliver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    program = load("bin/stackserve-deliver")
    for name in ("TICKET", "SETTINGS", "ARCHIVE", "DONE"):
        monkeypatch.setattr(program, name, tmp_path / f"{name.lower()}")
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    expected = hashlib.sha256(CODE).hexdigest()
    (tmp_path / "settings").write_text(f"ROLE=worker\nPAYLOAD_SHA256={expected}\n")
    return program


def test_only_the_code_of_the_user_data_is_taken(deliver: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="expects code with SHA-256"):
        deliver.take_code(b"other code")
    assert not (tmp_path / "archive").exists()
    deliver.take_code(CODE)
    first = (tmp_path / "archive").stat()
    deliver.take_code(CODE)
    assert (tmp_path / "archive").read_bytes() == CODE
    assert (tmp_path / "archive").stat().st_ino == first.st_ino


def test_the_installation_continues_when_the_code_arrives(
    deliver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = load("steps/code.py")
    monkeypatch.setattr(code, "ARCHIVE", tmp_path / "archive")
    monkeypatch.setattr(code, "PAUSE", 0.01)
    there = code.file_number()
    waiting = threading.Thread(target=code.wait_for_delivery, args=(there,))
    waiting.start()
    deliver.take_code(CODE)
    waiting.join(10)
    assert not waiting.is_alive()
    # Had it arrived a moment earlier, there would have been nothing to wait for.
    code.wait_for_delivery(there)


def test_only_root_can_read_the_ticket(deliver: Any, tmp_path: Path) -> None:
    deliver.take_ticket(json.dumps(TICKET))
    assert stat.S_IMODE((tmp_path / "ticket").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "ticket").read_text()) == TICKET


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps(TICKET | {"port": "5671; rm"}),
        json.dumps(TICKET | {"password": "a@evil/"}),
        json.dumps(TICKET | {"host": "10.0.0.3\nSTACKSERVE_X=1"}),
        json.dumps(TICKET | {"name": "W 1"}),
        json.dumps(TICKET | {"ca": "none"}),
    ],
)
def test_anything_else_is_refused_without_showing_it(deliver: Any, text: str) -> None:
    with pytest.raises(SystemExit) as refused:
        deliver.take_ticket(text)
    assert "ticket" in str(refused.value)
    assert "Secret" not in str(refused.value)


def test_a_later_ticket_restarts_the_workers_and_the_same_one_does_not(
    deliver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []
    run = SimpleNamespace(run=lambda command, **_: commands.append(str(command[0])))
    monkeypatch.setattr(deliver, "subprocess", run)
    deliver.take_ticket(json.dumps(TICKET))
    assert commands == []  # the installation itself waits for the first
    (tmp_path / "done").touch()
    deliver.take_ticket(json.dumps(TICKET))
    assert commands == []
    deliver.take_ticket(json.dumps(TICKET | {"password": "another"}))
    assert commands == [str(deliver.STEPS / "join.py"), "systemctl"]


def test_its_arguments_are_checked(deliver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver.sys, "argv", ["stackserve-deliver", "secrets"])
    with pytest.raises(SystemExit, match="usage"):
        deliver.main()
    monkeypatch.setattr(deliver.sys, "argv", ["stackserve-deliver", "ticket"])
    monkeypatch.setattr(deliver.sys, "stdin", io.StringIO(json.dumps(TICKET)))
    deliver.main()


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
