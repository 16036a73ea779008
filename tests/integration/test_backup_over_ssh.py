"""The launcher's backup and restore: its real commands and the real verbs, without a server.

Small programs stand in for `ssh`, `sudo`, `systemd-run` and `systemctl`, and run commands here.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from openstack_client.cli import backup, main
from openstack_client.cli.session import Session
from openstack_client.cloud.credentials import Source
from openstack_client.deploy import transfer
from openstack_client.deploy.archive import Damaged, check
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.settings import merge
from openstack_client.watch.probe import Probe, Service
from openstack_client.watch.progress import JsonDisplay, Progress
from openstack_client.watch.ssh import SshTarget
from production_server.jobs.store import Store
from production_server.settings import Settings, load_settings
from tests.support.service import ROOT
from tests.support.stopped_service import add_job, rows, service

PROGRAMS = {
    # Skips its options and the address.
    "ssh": 'while [ "$1" != debian@192.0.2.1 ]; do shift; done; shift; exec sh -c "$*"',
    "sudo": 'shift; exec "$@"',
    # Skips its options and the server's Python.
    "systemd-run": f'while [ "${{1#--}}" != "$1" ]; do shift; done; shift; cd {ROOT} || exit; '
    f'exec {sys.executable} "$@"',
    "chown": "exit 0",
    "systemctl": 'echo "$@" >>"$CALLS"; [ "$1" != list-units ] || echo stackserve-web.service',
}
UPLOADS = Path("/var/tmp")


class Remote:
    """The server's side, and a launcher that is logged in to it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = service(folder / "home")
        self.calls = folder / "calls"
        self.calls.touch()
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name, text in PROGRAMS.items():
            self.program(name, text)
        monkeypatch.setenv("PATH", f"{self.programs}:{os.environ['PATH']}")
        monkeypatch.setenv("CALLS", str(self.calls))
        self.monkeypatch = monkeypatch
        self.use(self.settings)
        self.target = SshTarget("192.0.2.1", "debian", None, folder / "known_hosts")

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def use(self, settings: Settings) -> None:
        self.settings = settings
        self.monkeypatch.setenv("STACKSERVE_HOME", str(settings.home))

    def run(self, *arguments: str) -> Result:
        def open_session(flags: dict[str, Any]) -> Session:
            cloud: Any = SimpleNamespace(project_id="p1")
            given = {"name": flags["named"]} if flags["named"] else {}
            made = merge(given, {}, None)[0]
            source = Source("clouds.yaml", "clouds.yaml")
            return Session(made, {}, source, cloud, flags["as_json"], Console(width=1000))

        self.monkeypatch.setattr(backup, "find_source", lambda flags: "a cloud")
        self.monkeypatch.setattr(backup, "open_session", open_session)
        self.monkeypatch.setattr(backup, "find_service_by_ssh", lambda session: self.target)
        self.monkeypatch.setattr(Service, "probe", lambda service: Probe(True, "diabetes"))
        return CliRunner().invoke(main, arguments)

    @property
    def units(self) -> list[str]:
        """What happened to the units."""
        called = [line.split()[0] for line in self.calls.read_text().splitlines()]
        return [verb for verb in called if verb != "list-units"]


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    before = set(UPLOADS.glob("stackserve-restore-*"))
    yield Remote(tmp_path / "server", monkeypatch)
    deadline = time.monotonic() + 10
    while set(UPLOADS.glob("stackserve-restore-*")) - before:
        assert time.monotonic() < deadline, "an upload is left on the server"
        time.sleep(0.1)


@pytest.fixture
def file(remote: Remote, tmp_path: Path) -> Path:
    file = tmp_path / "course.tar.gz"
    ended = remote.run("backup", "course", str(file))
    assert ended.exit_code == 0, ended.output
    return file


def silent() -> Progress:
    return Progress(JsonDisplay(SimpleNamespace(write=len, flush=lambda: None)))  # type: ignore[arg-type]


def test_a_deployment_is_saved_and_restored(remote: Remote, file: Path, tmp_path: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert remote.units == [], "the service keeps running"
    expected = rows(remote.settings)
    remote.use(load_settings(home=tmp_path / "another"))
    ended = remote.run("restore", "--yes", "course", str(file))
    assert ended.exit_code == 0, ended.output
    assert rows(remote.settings) == expected
    assert remote.units == ["stop", "start"]
    assert f"Restored {file}: 4 jobs, model diabetes-1" in ended.stdout


def test_both_report_every_stage_and_the_result_in_json(remote: Remote, tmp_path: Path) -> None:
    file = tmp_path / "a.tar.gz"
    for verb in (("backup",), ("restore", "--yes")):
        ended = remote.run(*verb, "--json", str(file))
        events = [json.loads(line) for line in ended.stdout.splitlines()]
        done = [event["stage"] for event in events if event.get("state") == "done"]
        assert done == list(getattr(backup.stages, verb[0].upper()))
        result = events[-1]
        assert (result["event"], result["name"], result["jobs"]) == ("result", "stackserve", 4)
        assert result["bytes"] == file.stat().st_size and result["models"] == ["diabetes-1"]


def test_a_restore_needs_a_yes(remote: Remote, file: Path) -> None:
    ended = remote.run("restore", "course", str(file))
    assert ended.exit_code == 2 and "Add --yes" in ended.stderr
    assert "deletes all present jobs and models of deployment 'course'" in ended.stderr
    assert remote.units == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-8] + bytes([content[-8] ^ 1]) + content[-7:],
        lambda content: b"text",
        lambda content: b"",
    ],
)
def test_a_damaged_file_is_not_sent(
    damage: Callable[[bytes], bytes], remote: Remote, file: Path
) -> None:
    file.write_bytes(damage(file.read_bytes()))
    ended = remote.run("restore", "--yes", "course", str(file))
    assert ended.exit_code == 2 and "is not a complete backup" in ended.stderr
    assert remote.units == []


def test_a_file_that_does_not_belong_is_noticed(file: Path) -> None:
    with tarfile.open(file) as source:
        names = source.getnames()
        source.extractall(file.parent / "x", filter="data")
    with tarfile.open(file, "w:gz") as changed:
        for name in names[:-1]:
            changed.add(file.parent / "x" / name, name)
    with pytest.raises(Damaged, match="is missing"):
        check(file)


def test_an_upload_that_is_stopped_changes_nothing(
    remote: Remote, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(remote.settings)

    def half(self: Any, file: Path, progress: Progress) -> None:
        self.process.stdin.write(file.read_bytes()[:5000])
        self.process.stdin.flush()
        raise KeyboardInterrupt

    monkeypatch.setattr(transfer.Remote, "feed", half)
    with pytest.raises(KeyboardInterrupt):
        transfer.send(remote.target, file, silent(), Interrupts())
    time.sleep(3)
    assert remote.units == [] and rows(remote.settings) == before


def test_a_backup_that_is_stopped_leaves_no_file(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = []

    def some(self: Any, out: IO[bytes], progress: Progress) -> None:
        out.write(self.process.stdout.read(1000))
        processes.append(self.process)
        raise KeyboardInterrupt

    monkeypatch.setattr(transfer.Remote, "receive", some)
    ended = remote.run("backup", str(tmp_path / "a.tar.gz"))
    assert ended.exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["server"]
    assert processes[0].returncode is not None


def test_a_restore_that_fails_on_the_server_starts_the_services_again(
    remote: Remote, file: Path
) -> None:
    before = rows(remote.settings)
    store = Store(remote.settings.store)
    ended = remote.run("restore", "--yes", "course", str(file))
    store.close()
    assert ended.exit_code == 7
    assert "The server could not restore the archive" in ended.stderr
    assert "the service is running" in ended.stderr
    assert remote.units == ["stop", "start"] and rows(remote.settings) == before


def test_the_present_jobs_are_replaced(remote: Remote, file: Path) -> None:
    expected = rows(remote.settings)
    store = Store(remote.settings.store)
    add_job(store, "later", 3)
    store.close()
    assert remote.run("restore", "--yes", str(file)).exit_code == 0
    assert rows(remote.settings) == expected


@pytest.mark.parametrize(
    ("program", "text", "code", "words"),
    [
        ("ssh", "echo 'Permission denied (publickey).' >&2; exit 255", 6, "Permission denied"),
        ("systemd-run", "echo \"Error: No such command 'backup'.\" >&2; exit 2", 7, "older than"),
        ("systemd-run", "echo half", 7, "The archive is damaged"),
        ("sudo", "echo 'sudo: a password is required' >&2; exit 1", 7, "a password is required"),
    ],
)
def test_a_backup_that_fails_says_why(
    program: str, text: str, code: int, words: str, remote: Remote, tmp_path: Path
) -> None:
    remote.program(program, text)
    ended = remote.run("backup", str(tmp_path / "a.tar.gz"))
    assert ended.exit_code == code, ended.output
    assert words in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["server"]


def test_a_file_is_never_overwritten(remote: Remote, file: Path) -> None:
    before = file.read_bytes()
    ended = remote.run("backup", "course", str(file))
    assert ended.exit_code == 2 and "exists already" in ended.stderr
    assert file.read_bytes() == before
    ended = remote.run("backup", str(file.parent / "none" / "a.tar.gz"))
    assert ended.exit_code == 2 and "Cannot write" in ended.stderr


def test_without_a_cloud_the_service_here_is_used(
    remote: Remote, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []

    def become(arguments: list[str]) -> None:
        became.append(arguments[3:])
        raise SystemExit(0)

    monkeypatch.setattr(backup.serve_here, "become", become)
    monkeypatch.setattr(backup, "find_source", lambda flags: None)
    ended = CliRunner().invoke(main, ["backup", "new.tar.gz"])
    assert "using the service on this machine" in ended.stderr
    CliRunner().invoke(main, ["restore", "--local", "--yes", str(file)])
    assert became == [["backup", "new.tar.gz"], ["restore", str(file), "--yes"]]
    for wrong in (["backup", "--local", "course", "x"], ["backup", "--local", "--json", "x"]):
        assert CliRunner().invoke(main, wrong).exit_code == 2
    assert CliRunner().invoke(main, ["backup", "a", "b", "c"]).exit_code == 2
    assert len(became) == 2
