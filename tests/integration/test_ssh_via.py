"""Reach a server through a jump host, with the real ssh client and real ssh servers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
from click.testing import CliRunner
from rich.console import Console

from openstack_client.cli import main
from openstack_client.cli import open as opening
from openstack_client.cli.session import Session
from openstack_client.cloud.credentials import Source
from openstack_client.errors import ServerError
from openstack_client.roles import ours
from openstack_client.settings import merge
from openstack_client.watch import tunnel
from openstack_client.watch.ssh import SshTarget
from openstack_client.watch.tunnel import check_jump_host, reach
from production_server.local.rabbitmq import free_port
from tests.support.service import Service
from tests.support.ssh_server import SshServer, make_key, users_ssh


@dataclass
class Hosts:
    """A jump host, a server behind it, and the user's ssh configuration."""

    jump: SshServer
    server: SshServer
    key: Path
    user: Path

    @property
    def known(self) -> Path:
        return self.user / "known_hosts"

    @property
    def via(self) -> str:
        return f"me@127.0.0.1:{self.jump.port}"


@pytest.fixture(scope="module")
def all_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("hosts")
    users_key, servers_key = make_key(folder / "user" / "id"), make_key(folder / "servers" / "id")
    jump = SshServer(folder / "jump", users_key.with_suffix(".pub"))
    server = SshServer(folder / "server", servers_key.with_suffix(".pub"))
    hosts = Hosts(jump, server, servers_key, folder / "user")
    users_ssh(hosts.user, jump, users_key)
    yield hosts
    jump.stop()
    server.stop()


@pytest.fixture
def hosts(all_hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    all_hosts.known.write_text(all_hosts.jump.known_hosts_line)
    monkeypatch.setenv("PATH", f"{all_hosts.user}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return all_hosts


def test_http_goes_through_the_jump_host(hosts: Hosts, embedded: Service) -> None:
    with reach("127.0.0.1", hosts.via, embedded.port) as way:
        assert way.port != embedded.port
        probe = way.service().probe()
    assert probe.ok, probe.summary
    assert not way.service().probe().ok
    assert f"127.0.0.1:{embedded.port} (through {hosts.via})" in way.service().probe().summary


def test_a_way_that_broke_is_repaired_on_the_same_port(hosts: Hosts, embedded: Service) -> None:
    with reach("127.0.0.1", hosts.via, embedded.port) as way:
        service = way.service()
        assert service.probe().ok
        hosts.jump.stop()
        assert isinstance(way, tunnel.Tunnel)
        way.process.wait(10)
        assert not service.probe().ok
        hosts.jump.start()
        way.keep()
        way.wait()
        assert service.probe().ok


def test_nothing_stays_behind(hosts: Hosts) -> None:
    with reach("127.0.0.1", hosts.via) as way:
        assert isinstance(way, tunnel.Tunnel)
        ssh = psutil.Process(way.process.pid)
        assert ssh.is_running()
    assert not ssh.is_running()


def test_a_jump_host_that_is_unknown_is_refused(hosts: Hosts) -> None:
    hosts.known.write_text("")
    with pytest.raises(ServerError, match="Host key verification failed") as caught:
        check_jump_host(hosts.via)
    assert f"Try `ssh ssh://{hosts.via}`" in caught.value.remedy


def test_a_jump_host_that_does_not_listen_is_reported(hosts: Hosts) -> None:
    port = free_port()
    with pytest.raises(ServerError, match=f"port {port}: Connection refused"):
        check_jump_host(f"me@127.0.0.1:{port}")


def test_ssh_checks_the_servers_own_host_key(hosts: Hosts, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(hosts.server.known_hosts_line)
    target = SshTarget("127.0.0.1", "debian", hosts.key, known, hosts.via)
    command = target.command("echo arrived", options=["-p", str(hosts.server.port)])
    assert _output(command) == "arrived\n"
    known.write_text(hosts.server.known_hosts_line.replace("AAAA", "AAAB"))
    assert _output(command) == ""


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_open_forwards_a_port_until_it_is_stopped(
    hosts: Hosts, embedded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def look_and_press_ctrl_c(url: str) -> None:
        shown.append(httpx.get(url, headers={"Accept": "text/html"}).text)
        raise KeyboardInterrupt

    role = ours("server").watched.model_copy(update={"port": embedded.port})
    monkeypatch.setattr(opening, "watched", lambda server: role)
    monkeypatch.setattr(opening, "open_session", _session)
    monkeypatch.setattr(opening.webbrowser, "open", look_and_press_ctrl_c)
    done = CliRunner().invoke(main, ["open", "--ssh-via", hosts.via])
    assert done.exit_code == 0, done.output
    assert "Press Ctrl-C to end" in done.output
    assert "<html" in shown[0]


def test_json_has_the_command_that_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_session", _session)
    done = CliRunner().invoke(main, ["open", "--json", "--ssh-via", "me@gate.example.org"])
    answer = json.loads(done.output)
    assert answer["url"] == "http://127.0.0.1:5100/predictions"
    assert answer["forward"][-3:] == [
        "-L",
        "127.0.0.1:5100:127.0.0.1:5100",
        "ssh://me@gate.example.org",
    ]


def _session(flags: dict[str, Any]) -> Session:
    cloud: Any = SimpleNamespace(project_id="p1")
    given = {"ssh_via": flags["ssh_via"]}
    session = Session(
        merge(given, {}, None)[0],
        {},
        Source("clouds.yaml", "clouds.yaml"),
        cloud,
        flags["as_json"],
        Console(width=1000),
    )
    found = SimpleNamespace(name="web", address_of=lambda server: "127.0.0.1")
    session.login = lambda: None  # type: ignore[method-assign,assignment,return-value]
    session.inventory = lambda: found  # type: ignore[method-assign,assignment,return-value]
    server: Any = SimpleNamespace(metadata={})
    session.the_server = lambda mine: server  # type: ignore[method-assign]
    return session
