"""`scale --workers`: the real command and the role's real program, without a server.

Small programs stand in for `ssh`, `sudo` and `systemctl`, whose units are files in a folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from openstack_client.cli import main, scale
from openstack_client.cli.session import Session
from openstack_client.cloud.credentials import Source
from openstack_client.places import TEMPLATES
from openstack_client.settings import merge
from openstack_client.watch.ssh import SshTarget

SCALE = TEMPLATES / "roles" / "server" / "bin" / "stackserve-scale"
PROGRAMS = {
    # Skips its options and the address.
    "ssh": 'while [ "$1" != debian@192.0.2.1 ]; do shift; done; shift; exec sh -c "$*"',
    "sudo": 'shift; exec "$@"',
    "systemctl": 'verb=$1; shift; case $verb in list-units) ls "$UNITS";; *) '
    'while [ "${1#--}" != "$1" ]; do shift; done; cd "$UNITS"; '
    '[ "$verb" = enable ] && touch "$@" || rm "$@";; esac',
}


class Server:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units = folder / "units"
        self.programs = folder / "programs"
        for created in (self.units, self.programs):
            created.mkdir()
        for name, text in PROGRAMS.items():
            self.program(name, text)
        monkeypatch.setenv("PATH", f"{self.programs}:{os.environ['PATH']}")
        monkeypatch.setenv("UNITS", str(self.units))
        target = SshTarget("192.0.2.1", "debian", None, folder / "known_hosts")

        def open_session(flags: dict[str, Any]) -> Session:
            cloud: Any = SimpleNamespace(project_id="p1")
            made = merge({"name": flags["named"], "workers": flags["workers"]}, {}, None)[0]
            source = Source("clouds.yaml", "clouds.yaml")
            return Session(made, {}, source, cloud, flags["as_json"], Console(width=1000))

        monkeypatch.setattr(scale, "open_session", open_session)
        monkeypatch.setattr(scale, "find_service_by_ssh", lambda session: target)

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def scale(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["scale", "course", *arguments])

    @property
    def workers(self) -> list[str]:
        return sorted(unit.name for unit in self.units.iterdir())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(tmp_path, monkeypatch)
    made.program("stackserve-scale", f'exec {SCALE} "$@"' if os.geteuid() == 0 else "exit 3")
    return made


def named(count: int) -> list[str]:
    return [f"stackserve-worker@{number}.service" for number in range(1, count + 1)]


@pytest.mark.skipif(os.geteuid() != 0, reason="the program on the server runs as root")
def test_workers_come_and_go(server: Server) -> None:
    for count in (1, 3, 12, 2):
        ended = server.scale("--workers", str(count))
        assert ended.exit_code == 0, ended.output
        assert server.workers == sorted(named(count))
    assert ended.output == "The server of 'course' runs 2 workers.\n"
    assert server.scale("--workers", "1", "--json").output == '{"name": "course", "workers": 1}\n'


def test_a_role_without_the_program_is_told_apart(server: Server) -> None:
    (server.programs / "stackserve-scale").unlink()
    ended = server.scale("--workers", "2")
    assert ended.exit_code != 0
    assert "cannot change the number of workers" in ended.output
    assert "--worker-vms" in ended.output


def test_what_the_server_says_is_shown(server: Server) -> None:
    server.program("stackserve-scale", "echo 'error: no space left on device' >&2; exit 1")
    ended = server.scale("--workers", "2")
    assert ended.exit_code != 0
    assert "could not run 2 workers: no space left on device" in ended.output


@pytest.mark.parametrize("count", ["0", "65", "-1", "many"])
def test_impossible_numbers_never_reach_the_server(server: Server, count: str) -> None:
    server.program("stackserve-scale", 'touch "$UNITS/called"')
    assert server.scale("--workers", count).exit_code != 0
    assert server.workers == []


def test_one_kind_of_workers_at_a_time(server: Server) -> None:
    ended = server.scale("--workers", "2", "--worker-vms", "1")
    assert "Run `scale` once for each" in ended.output
    assert server.workers == []
