"""What bin/stackserve-deliver takes over ssh: the code, and a worker's ticket."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from production_server.proxy.certificates import own
from tests.unit.cloud_init.steps import load
from tests.unit.cloud_init.test_join import TICKET

CODE = b"the code"
SHA = hashlib.sha256(CODE).hexdigest()


class Machine:
    """A folder that stands for a machine, with the program as it runs there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program = load("bin/stackserve-deliver")
        self.folder, self.monkeypatch = folder, monkeypatch
        for name in ("SETTINGS", "ARCHIVE", "UNPACKED", "DONE", "CERTIFICATE"):
            monkeypatch.setattr(self.program, name, folder / name.lower())
        monkeypatch.setattr(self.program, "MEMORY", folder)
        monkeypatch.setattr("join.TICKET", folder / "ticket")
        monkeypatch.setattr(shutil, "chown", lambda *_: None)
        settings = f"ROLE=server\nPAYLOAD_SHA256={SHA}\nPAYLOAD_SIZE={len(CODE)}\n"
        (folder / "settings").write_text(settings)

    def deliver(self, what: str, data: bytes) -> None:
        given = io.TextIOWrapper(io.BytesIO(data))
        self.monkeypatch.setattr(sys, "argv", ["stackserve-deliver", what])
        self.monkeypatch.setattr(sys, "stdin", given)
        self.program.main()

    def ticket(self, **changed: str) -> None:
        self.deliver("ticket", json.dumps(TICKET | changed).encode())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize("other", [b"other code", b"the cod", CODE + b"!", b"", CODE[::-1]])
def test_only_the_code_of_the_user_data_is_taken(
    machine: Machine, other: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        machine.deliver("code", other)
    assert refused.value.code == 65
    printed = capsys.readouterr()
    assert printed.out == "" and f"expects code with SHA-256 {SHA}, not" in printed.err
    assert sorted(path.name for path in machine.folder.iterdir()) == ["settings"]
    machine.deliver("code", CODE)
    assert (machine.folder / "archive").read_bytes() == CODE
    assert capsys.readouterr().out == "taken\n"


@pytest.mark.parametrize("has", ["archive", "unpacked", "done"])
def test_a_machine_that_has_its_code_reads_nothing(
    machine: Machine, has: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine.folder / has).write_text(CODE.decode() if has == "archive" else SHA)
    before = (machine.folder / has).stat()
    machine.deliver("code", b"whatever")
    assert capsys.readouterr().out == "there\n"
    assert (machine.folder / has).stat().st_ino == before.st_ino
    assert sorted(path.name for path in machine.folder.iterdir()) == sorted(["settings", has])


def test_it_answers_when_the_code_is_on_the_disk(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The launcher sends it once: a reset must not lose it after the answer."""
    synced: list[tuple[str, str]] = []

    def fsync(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").readlink().name, capsys.readouterr().out))

    monkeypatch.setattr("os.fsync", fsync)
    machine.deliver("code", CODE)
    assert synced == [("archive.new", ""), (machine.folder.name, "")]


def test_the_installation_continues_when_the_code_arrives(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = load("steps/code.py")
    monkeypatch.setattr(code, "ARCHIVE", machine.folder / "archive")
    monkeypatch.setattr(code, "PAUSE", 0.01)
    there = code.file_number()
    waiting = threading.Thread(target=code.wait_for_delivery, args=(there,))
    waiting.start()
    machine.deliver("code", CODE)
    waiting.join(10)
    assert not waiting.is_alive()
    # Had it arrived a moment earlier, there would have been nothing to wait for.
    code.wait_for_delivery(there)


def test_only_root_can_read_the_ticket(machine: Machine) -> None:
    machine.ticket()
    ticket = machine.folder / "ticket"
    assert stat.S_IMODE(ticket.stat().st_mode) == 0o600
    assert json.loads(ticket.read_text()) == TICKET


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
def test_anything_else_is_refused_without_showing_it(machine: Machine, text: str) -> None:
    with pytest.raises(SystemExit) as refused:
        machine.deliver("ticket", text.encode())
    assert "ticket" in str(refused.value)
    assert "Secret" not in str(refused.value)


def test_a_later_ticket_restarts_the_workers_and_the_same_one_does_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []
    run = SimpleNamespace(run=lambda command, **_: commands.append(str(command[0])))
    monkeypatch.setattr(machine.program, "subprocess", run)
    machine.ticket()
    assert commands == []  # the installation itself waits for the first
    (machine.folder / "done").touch()
    machine.ticket()
    assert commands == []
    machine.ticket(password="another")
    assert commands == [str(machine.program.STEPS / "join.py"), "systemctl"]


def test_only_worker_vms_take_tickets(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "join", None)  # there is no such file
    with pytest.raises(SystemExit, match="is no worker VM"):
        machine.ticket()
    assert not (machine.folder / "ticket").exists()


def test_its_arguments_are_checked(machine: Machine) -> None:
    with pytest.raises(SystemExit, match="usage"):
        machine.deliver("secrets", CODE)


@pytest.fixture
def ran(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the delivery of a certificate runs."""
    ran: list[list[str]] = []
    fake = SimpleNamespace(run=lambda command, check: ran.append(command))
    monkeypatch.setattr(machine.program, "subprocess", fake)
    (machine.folder / "settings").write_text("TLS=files\nTLS_UNIT=proxy-x\n")
    return ran


def test_a_certificate_is_for_the_proxy_alone(
    machine: Machine,
    ran: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owners: list[object] = []
    monkeypatch.setattr(shutil, "chown", lambda _, *owner: owners.append(owner))
    (tmp_path / "made").mkdir()
    made = own(tmp_path / "made", ["192.0.2.1"])
    pem = made.certificate.read_bytes() + made.key.read_bytes()
    for said in ("taken\n", "there\n"):
        machine.deliver("certificate", pem)
        assert capsys.readouterr().out == said
    file = machine.folder / "certificate"
    assert file.read_bytes() == pem
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert owners == [("root", "stackserve-tls")]
    assert ["systemctl", "try-reload-or-restart", "proxy-x"] in ran


@pytest.mark.parametrize("what", ["certificate", "key", "other", "locked"])
def test_what_is_no_certificate_with_its_key_is_refused(
    machine: Machine, ran: list[list[str]], tmp_path: Path, what: str
) -> None:
    for name in ("made", "second"):
        (tmp_path / name).mkdir()
    made, second = own(tmp_path / "made", ["a.x"]), own(tmp_path / "second", ["a.x"])
    command = ["openssl", "pkey", "-in", str(made.key), "-aes256", "-passout", "pass:x"]
    locked = subprocess.run(command, capture_output=True, check=True).stdout
    parts = {
        "certificate": made.certificate.read_bytes(),
        "key": made.key.read_bytes(),
        "other": made.certificate.read_bytes() + second.key.read_bytes(),
        "locked": made.certificate.read_bytes() + locked,
    }
    with pytest.raises(SystemExit, match="this is no certificate with its key"):
        machine.deliver("certificate", parts[what])
    assert not (machine.folder / "certificate").exists() and ran == []


def test_other_machines_take_no_certificate(machine: Machine) -> None:
    with pytest.raises(SystemExit, match="not created with --tls CERT,KEY"):
        machine.deliver("certificate", b"")
