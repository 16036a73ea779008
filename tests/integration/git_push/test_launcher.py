"""`stackserve git-remote` against a real sshd, and pushes as it says."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from openstack_client.cli import git_remote, main
from openstack_client.cli.session import Session
from openstack_client.cloud.credentials import Source
from openstack_client.settings import merge
from openstack_client.watch.ssh import SshTarget
from tests.integration.git_push.test_models import put_version
from tests.support.push_machine import Clone, PushMachine
from tests.support.ssh_server import SSH, make_key


class Launcher:
    def __init__(self, folder: Path, machine: PushMachine, patch: pytest.MonkeyPatch) -> None:
        self.key = make_key(folder / "id_ed25519")
        machine.inside("sh", "-c", "mkdir -p -m 700 /root/.ssh; cat >/root/.ssh/authorized_keys",
                       data=self.key.with_suffix(".pub").read_text())  # fmt: skip
        self.known_hosts = folder / "known_hosts"
        host_key = " ".join(machine.known_hosts.read_text().split()[1:3])
        self.known_hosts.write_text(f"127.0.0.1 {host_key}\n")
        # As if the server listened on port 22.
        config = folder / "ssh_config"
        config.write_text(f"Host 127.0.0.1\n  Port {machine.port}\n  HostKeyAlias 127.0.0.1\n")
        programs = folder / "bin"
        programs.mkdir()
        (programs / "ssh").write_text(f'#!/bin/sh\nexec {SSH} -F {config} "$@"\n')
        (programs / "ssh").chmod(0o755)
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        target = SshTarget("127.0.0.1", "root", self.key, self.known_hosts)
        patch.setattr(git_remote, "open_session", self._session)
        patch.setattr(git_remote, "find_service_by_ssh", lambda session: target)

    def _session(self, flags: dict[str, Any]) -> Session:
        cloud: Any = SimpleNamespace(project_id="p1")
        settings = merge({"name": flags["named"]}, {}, None)[0]
        source = Source("clouds.yaml", "clouds.yaml")
        return Session(settings, {}, source, cloud, flags["as_json"], Console(width=1000))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["git-remote", "course", *words])


@pytest.fixture
def launcher(tmp_path: Path, machine: PushMachine, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    return Launcher(tmp_path, machine, monkeypatch)


def test_a_push_as_the_launcher_says(
    launcher: Launcher, machine: PushMachine, clone: Callable[..., Clone]
) -> None:
    done = launcher.run("--key-name", "fred@laptop", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["url"] == "ssh://deploy@127.0.0.1/production.git"
    assert told["changed"]
    assert told["host_keys"] == launcher.known_hosts.read_text().splitlines()
    assert not json.loads(launcher.run("--key-name", "fred@laptop", "--json").stdout)["changed"]

    fred = clone("fred")
    fred.git("remote", "set-url", "production", told["url"])
    del fred.environment["GIT_SSH_COMMAND"]
    fred.git("config", "core.sshCommand", told["ssh_command"])
    fred.git("fetch", "--update-shallow", "--quiet", "production")
    put_version(fred, "diabetes-20", created="2026-05-01T03:04:05Z")
    fred.commit()
    pushed = fred.push()
    assert pushed.returncode == 0, pushed.stderr

    text = launcher.run("--key-name", "fred@laptop").stdout
    assert "  git remote add production ssh://deploy@127.0.0.1/production.git\n" in text
    command = next(line for line in text.splitlines() if "core.sshCommand" in line)
    assert shlex.split(command)[-1] == told["ssh_command"]

    gone = launcher.run("--key-name", "fred@laptop", "--remove")
    assert "may no longer push" in gone.stdout
    assert "may not push anyway" in launcher.run("--key-name", "fred@laptop", "--remove").stdout
    assert "Permission denied" in fred.push().stderr


def test_what_is_no_key_is_refused_in_the_servers_words(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "other.pub").write_text("no key\n")
    done = launcher.run("--public-key", str(tmp_path / "other.pub"))
    assert done.exit_code != 0
    assert "standard input is not one public key" in done.output
    missing = launcher.run("--public-key", str(tmp_path / "none.pub"))
    assert "The public key cannot be read" in missing.output
