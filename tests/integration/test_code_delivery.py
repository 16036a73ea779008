"""How a server gets its code: real ssh to a server that runs the real stackserve-deliver.

Its host key is the one on the console. A small program stands in for `sudo`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client.cloud.resources import Server
from openstack_client.errors import CloudError, ContextualizationError, ServerError, TimedOut
from openstack_client.places import TEMPLATES
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget
from openstack_client.watch.tunnel import Way
from openstack_client.watch.wait import ReadyWatch
from tests.support.ssh_server import SshServer, make_key, ssh_to
from tests.unit.openstack_client.recording_display import RecordingDisplay

ADDRESS, GATE = "127.0.0.23", "127.0.0.24"
PAYLOAD = bytes(range(256)) * 4000
BEGUN = "STACKSERVE stage=code state=begin t=9.0\n"
DONE = "STACKSERVE stage=code state=done t=9.5\n"
# Notes the call, answers as told, or runs the program of this checkout in a folder of its own.
SUDO = f"""\
#!/bin/sh
shift
echo "$*" >>"$MACHINE/log"
[ ! -e "$MACHINE/refuse" ] || {{ cat "$MACHINE/refuse" >&2; cat >/dev/null; exit 1; }}
[ ! -e "$MACHINE/slow" ] || sleep 60
shift
exec {sys.executable} "$MACHINE/../deliver.py" "$@"
"""
PROGRAM = f"""\
import importlib.machinery, os, shutil, sys
from pathlib import Path
sys.path.insert(0, {str(TEMPLATES / "files" / "steps")!r})
shutil.chown = lambda *_: None
path = {str(TEMPLATES / "files" / "bin" / "stackserve-deliver")!r}
program = importlib.machinery.SourceFileLoader("deliver", path).load_module()
for name in ("SETTINGS", "ARCHIVE", "UNPACKED", "DONE", "CERTIFICATE"):
    setattr(program, name, Path(os.environ["MACHINE"], name.lower()))
program.MEMORY = Path(os.environ["MACHINE"])
program.main()
"""


@dataclass
class Place:
    """A server, the folder that is its disk, and a jump host before it."""

    disk: Path
    server: SshServer
    gate: SshServer
    key: Path
    shown: list[str] = field(default_factory=list)
    """What the console shows, one text a time; the last one stays."""
    hidden: bool = False
    """Whether the cloud shows no console."""
    display: RecordingDisplay = field(default_factory=RecordingDisplay)

    @property
    def known_hosts(self) -> Path:
        return self.disk / "known_hosts"

    @property
    def calls(self) -> int:
        log = self.disk / "log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def console(self, _server: str, length: int | None) -> str:
        if self.hidden:
            raise CloudError("Nova could not show the console log: no", "", status=403)
        return self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]

    def watch(self, payload: bytes = PAYLOAD, **more: Any) -> ReadyWatch:
        servers = SimpleNamespace(
            get=lambda server: SimpleNamespace(id=server, name="x", status="ACTIVE"),
            get_console_output=self.console,
        )
        cloud: Any = SimpleNamespace(
            nova=SimpleNamespace(servers=servers), request=lambda service, doing, call: call()
        )
        usual: dict[str, Any] = {
            "target": SshTarget(ADDRESS, "debian", self.key, self.known_hosts),
            "way": Way(ADDRESS, 9),
            "meanwhile": lambda: None,
            "sleep": lambda seconds: time.sleep(0.05),
        }
        return ReadyWatch(
            cloud=cloud,
            server=Server("s1", "x", "ACTIVE"),
            payload=payload,
            progress=Progress(self.display),
            **usual | more,
        )

    def received(self) -> bytes:
        archive = self.disk / "archive"
        return archive.read_bytes() if archive.exists() else b""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("server")
    programs, disk = folder / "bin", folder / "disk"
    programs.mkdir()
    disk.mkdir()
    (folder / "deliver.py").write_text(PROGRAM)
    (programs / "sudo").write_text(SUDO)
    (programs / "sudo").chmod(0o755)
    for name in ("groupadd", "systemctl"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"$MACHINE/ran"\n')
        (programs / name).chmod(0o755)
    key = make_key(folder / "user" / "id")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        patch.setenv("MACHINE", str(disk))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        server = SshServer(folder / "host", key.with_suffix(".pub"), ADDRESS)
        gate = SshServer(folder / "gate", key.with_suffix(".pub"), GATE)
        ssh_to(programs, server, gate)
        yield Place(disk, server, gate, key)
    server.stop()
    gate.stop()


@pytest.fixture
def place(hosts: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    for path in hosts.disk.iterdir():
        path.unlink()
    digest, size = hashlib.sha256(PAYLOAD).hexdigest(), len(PAYLOAD)
    (hosts.disk / "settings").write_text(f"PAYLOAD_SHA256={digest}\nPAYLOAD_SIZE={size}\n")
    monkeypatch.setattr("openstack_client.watch.boot.CONSOLE_EVERY", 0.0)
    hosts.shown, hosts.hidden = [hosts.server.on_console + BEGUN], False
    hosts.display = RecordingDisplay()
    return hosts


def test_it_is_sent_once_the_console_shows_the_host_key(place: Place) -> None:
    calls: list[int] = []
    place.shown = ["", "booting", place.server.on_console]
    watch = place.watch(meanwhile=lambda: calls.append(place.calls))
    watch.wait_until_delivered(timeout=30)
    assert place.received() == PAYLOAD
    assert (place.calls, calls[:2]) == (1, [0, 0])
    assert place.display.notes == ["Code delivered."]
    assert watch.progress.steps["code"].state == "done"


def test_the_launcher_does_other_things_while_it_sends(place: Place) -> None:
    """The lease of the deployment must be renewed, however long a large model takes."""
    (place.disk / "slow").touch()
    turns: list[int] = []
    watch = place.watch(meanwhile=lambda: turns.append(place.calls))
    with pytest.raises(TimedOut, match="Code not delivered"):
        watch.wait_until_delivered(timeout=3)
    assert turns.count(1) > 5
    assert watch.delivery.delivery.sending is None, "ssh still runs"


def test_what_ctrl_c_interrupted_the_next_run_delivers(place: Place) -> None:
    (place.disk / "slow").touch()

    def stop(seconds: float) -> None:
        if place.calls:
            raise KeyboardInterrupt

    watch = place.watch(sleep=stop)
    with pytest.raises(KeyboardInterrupt):
        watch.wait_until_delivered(timeout=30)
    assert watch.delivery.delivery.sending is None and place.received() == b""
    (place.disk / "slow").unlink()
    place.watch().wait_until_delivered(timeout=30)
    assert place.received() == PAYLOAD


def test_a_server_that_was_reset_is_asked_again(place: Place) -> None:
    """What it has taken it keeps, and then nothing is sent twice."""
    place.watch().wait_until_delivered(timeout=30)
    place.display.notes.clear()
    place.watch().wait_until_delivered(timeout=30)
    assert (place.calls, place.display.notes) == (2, [])
    (place.disk / "archive").unlink()
    place.watch().wait_until_delivered(timeout=30)
    assert place.received() == PAYLOAD


def test_nothing_is_sent_to_a_server_that_has_it(place: Place) -> None:
    place.shown = [place.server.on_console + BEGUN + DONE]
    place.watch().wait_until_delivered(timeout=0)
    assert (place.calls, place.display.notes) == (0, [])


def test_a_server_whose_image_has_it_must_ask(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shown in ("", BEGUN):
        place.shown = [place.server.on_console + shown]
        with pytest.raises(TimedOut):
            place.watch(in_image=True).wait_until_delivered(timeout=0.5)
    assert place.calls == 0
    monkeypatch.setattr("openstack_client.watch.delivery.GRACE", 0.2)
    place.watch(in_image=True).wait_until_delivered(timeout=30)
    assert place.received() == PAYLOAD


@pytest.fixture
def gate_key(place: Place) -> Iterator[Path]:
    """The file with the user's key for the jump host, which ssh finds by its own configuration."""
    config = Path(os.environ["PATH"].split(":")[0], "ssh_config")
    own, known, key = config.read_text(), place.disk / "known_gate", place.disk / "gate_key"
    known.write_text(place.gate.on_port_22)
    for_gate = f"Host {GATE}\n  IdentityFile {key}\n  UserKnownHostsFile {known}\n"
    config.write_text(f"{for_gate}  IdentitiesOnly yes\n{own}")
    shutil.copy(place.key, key)
    yield key
    config.write_text(own)


def test_it_goes_through_a_jump_host(place: Place, gate_key: Path) -> None:
    target = SshTarget(ADDRESS, "debian", place.key, place.known_hosts, via=f"me@{GATE}")
    place.watch(target=target).wait_until_delivered(timeout=30)
    assert place.received() == PAYLOAD


def test_a_jump_host_that_lets_nobody_through(place: Place, gate_key: Path) -> None:
    gate_key.unlink()
    target = SshTarget(ADDRESS, "debian", place.key, place.known_hosts, via=f"me@{GATE}")
    with pytest.raises(TimedOut, match=f"its code: me@{GATE}: Permission denied"):
        place.watch(target=target).wait_until_delivered(timeout=2)
    assert place.calls == 0


def test_an_attempt_ends_when_the_console_shows_that_it_is_not_needed(place: Place) -> None:
    (place.disk / "slow").touch()
    watch = place.watch()
    while not place.calls:
        watch.console.update()
        assert not watch.delivery.attempt()
        time.sleep(0.05)
    place.shown = [place.server.on_console + BEGUN + DONE]
    watch.console.update()
    assert watch.delivery.attempt() and watch.delivery.delivery.sending is None


# What keeps it from arriving


def test_a_console_without_host_keys(place: Place) -> None:
    place.shown = [BEGUN]
    with pytest.raises(TimedOut) as raised:
        place.watch().wait_until_delivered(timeout=0.3)
    assert "its code: the console has not shown its host key; and" in raised.value.what
    assert f"Write it into {place.known_hosts} as one line: {ADDRESS}, a" in raised.value.remedy
    assert place.calls == 0


def test_a_cloud_without_consoles(place: Place) -> None:
    """It says at once what to do; with the key that a person wrote down, it goes on."""
    place.hidden = True
    with pytest.raises(ServerError) as raised:
        place.watch().wait_until_delivered(timeout=30)
    assert raised.value.what == (
        "This cloud shows no console log, so the host key of the server is not known, and its "
        "code is not sent."
    )
    assert str(place.known_hosts) in raised.value.remedy and place.calls == 0
    place.known_hosts.write_text(place.server.on_port_22)
    place.watch().wait_until_delivered(timeout=30)
    assert place.received() == PAYLOAD


def test_another_server_at_the_address(place: Place) -> None:
    place.shown = [place.gate.on_console + BEGUN]
    with pytest.raises(TimedOut) as raised:
        place.watch().wait_until_delivered(timeout=1)
    assert "its code: Host key verification failed" in raised.value.what
    assert "Something else answers at this address" in raised.value.remedy
    assert (place.calls, place.received()) == (0, b"")


def test_a_key_that_the_server_does_not_accept(place: Place, tmp_path: Path) -> None:
    target = SshTarget(ADDRESS, "debian", make_key(tmp_path / "other"), place.known_hosts)
    with pytest.raises(TimedOut) as raised:
        place.watch(target=target).wait_until_delivered(timeout=1)
    assert "Permission denied" in raised.value.what
    assert "with the key that the server was created with" in raised.value.remedy


def test_a_closed_port(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openstack_client.watch.delivery.PATIENCE", 1.5)
    monkeypatch.setattr("openstack_client.watch.delivery.NOTED_AFTER", 0.5)
    closed = "127.0.0.25"
    place.known_hosts.write_text(place.server.on_port_22.replace(ADDRESS, closed))
    place.shown = [BEGUN]
    target = SshTarget(closed, "debian", place.key, place.known_hosts)
    with pytest.raises(ServerError) as raised:
        place.watch(target=target).wait_until_delivered(timeout=30)
    assert "The server does not get its code, because ssh fails: " in raised.value.what
    assert "Connection refused" in raised.value.what
    assert "must reach port 22: check --ssh-from" in raised.value.remedy
    noted = [note for note in place.display.notes if note.startswith("Still trying: The server")]
    assert len(noted) == 1 and "--ssh-from" in noted[0]


def test_failures_mean_nothing_before_the_server_waits(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openstack_client.watch.delivery.PATIENCE", 0.0)
    place.known_hosts.write_text(place.server.on_port_22)
    (place.disk / "refuse").write_text("System is booting up\n")
    threading.Timer(1, (place.disk / "refuse").unlink).start()
    place.shown = ["booting"]
    place.watch().wait_until_delivered(timeout=30)
    assert place.calls > 1 and place.received() == PAYLOAD


def test_a_server_that_waits_for_other_code(place: Place) -> None:
    with pytest.raises(ContextualizationError) as raised:
        place.watch(payload=b"other code").wait_until_delivered(timeout=30)
    assert raised.value.what.startswith("The server was created with different code: it expects")
    assert "--recreate" in raised.value.remedy
    assert (place.calls, place.received()) == (1, b"")


def test_a_server_of_an_older_release(place: Place) -> None:
    missing = "sudo: /usr/local/sbin/stackserve-deliver: command not found\n"
    (place.disk / "refuse").write_text(missing)
    with pytest.raises(ContextualizationError, match="created by an older release") as raised:
        place.watch().wait_until_delivered(timeout=30)
    assert "--recreate" in raised.value.remedy
