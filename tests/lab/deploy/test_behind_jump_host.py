"""A deployment without a floating IP: everything goes through a jump host, on a real guest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from openstack_lab import namespace

from tests.support.cloud import LabCloud
from tests.support.lab_user import LabUser, Server
from tests.support.ssh_server import SshServer, make_key, users_ssh

pytestmark = [pytest.mark.long, pytest.mark.timeout(4000)]

NAME = "inside"


@pytest.fixture
def jump(
    real_lab: LabCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SshServer]:
    """An ssh server in the project's router, which this machine and the servers can reach."""
    router = next(iter(real_lab.rows("router", "list")))["ID"]
    shown = real_lab.rows("router", "show", router)
    address = shown["external_gateway_info"]["external_fixed_ips"][0]["ip_address"]
    key = make_key(tmp_path / "user" / "id")

    def in_router(command: list[str]) -> list[str]:
        inside = ["ip", "netns", "exec", f"qrouter-{router}", *command]
        return namespace.enter(real_lab.layout, inside)

    server = SshServer(tmp_path / "jump", key.with_suffix(".pub"), address, in_router)
    programs = users_ssh(tmp_path / "user", server, key)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    yield server
    server.stop()


@pytest.fixture
def user(real_lab: LabCloud, tmp_path: Path) -> Iterator[LabUser]:
    user = LabUser(real_lab, tmp_path)
    yield user
    user.run("delete", NAME, "--yes")


def test_a_server_without_a_floating_ip_is_deployed_and_used(
    user: LabUser, jump: SshServer
) -> None:
    via = f"me@{jump.address}:{jump.port}"
    server = Server(user.events("deploy", NAME, "--floating-ip", "none", "--ssh-via", via))
    result = server.event("result")
    assert result["ready"] is True
    host = urlsplit(result["url"]).hostname
    assert host and not _answers(host)
    assert not user.cloud.rows("floating", "ip", "list")

    assert server.ssh("hostname") == f"stackserve-{NAME}"
    status = user.run("status", NAME, "--ssh-via", via)
    assert status.code == 0, status.output + status.errors
    assert "rabbitmq-server" in status.output
    shown = user.run("ssh", NAME, "--ssh-via", via, "--", "uptime")
    assert shown.code == 0, shown.errors
    direct = user.run("status", NAME, "--no-ssh")
    assert direct.code == 11, "the server must not be reachable directly"


def _answers(host: str) -> bool:
    # Some gateways accept a connection to any address.
    try:
        return httpx.get(f"http://{host}:5100/ping", timeout=3).text == "pong\n"
    except httpx.HTTPError:
        return False
