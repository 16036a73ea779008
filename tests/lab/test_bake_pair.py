"""Two servers from one baked image download nothing and share no secret or identity."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cloud import LabCloud
from tests.support.lab_user import DEPLOY_SECONDS, LabUser, Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

NAMES = ("pair-a", "pair-b")
# Bytes. More than metadata, the launcher's requests and the code; less than any download.
NO_DOWNLOAD = 1_500_000
ENV = "/etc/stackserve/server.env"
# What must be unique to a server -> the command that prints it.
UNIQUE = {
    "machine id": "cat /etc/machine-id",
    "random seed": "sha256sum /var/lib/systemd/random-seed || echo none $(hostname)",
    "ed25519 host key": "cat /etc/ssh/ssh_host_ed25519_key",
    "ecdsa host key": "cat /etc/ssh/ssh_host_ecdsa_key",
    "broker's password": f"sed -n 's#.*amqp://[^:]*:\\([^@]*\\)@.*#\\1#p' {ENV}",
    "broker's password hash": "cat /etc/rabbitmq/stackserve-definitions.json",
    "erlang cookie": "cat /var/lib/rabbitmq/.erlang.cookie",
    "host name": "hostname",
    "cloud-init's instance": "cat /var/lib/cloud/data/instance-id",
    "journal": "ls /var/log/journal",
}


@pytest.fixture(scope="module")
def launcher(real_lab: LabCloud, tmp_path_factory: pytest.TempPathFactory) -> LabUser:
    return LabUser(real_lab, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def image(launcher: LabUser) -> Iterator[dict[str, Any]]:
    """A baked image for this checkout: the project's, or one that is baked for this test."""
    plan = json.loads(launcher.run("plan", "--json").output)
    present = (
        str(plan["image"]["why"]).startswith("baked from")
        and "sent separately" not in (plan["image"]["why"])
    )
    if present:
        yield launcher.cloud.rows("image", "show", plan["image"]["id"])
        return
    timeout = str(DEPLOY_SECONDS)
    result = launcher.events("bake", "bake-pair", "--timeout-ready", timeout)[-1]
    yield launcher.cloud.rows("image", "show", result["image"])
    launcher.cloud.openstack("image", "delete", result["image"])


@pytest.fixture(scope="module")
def pair(launcher: LabUser, image: dict[str, Any]) -> Iterator[list[Server]]:
    try:
        yield [
            Server(launcher.events("deploy", name, "--timeout-ready", str(DEPLOY_SECONDS)))
            for name in NAMES
        ]
    finally:
        for name in NAMES:
            launcher.run("delete", name, "--yes", "--take-over")


def test_no_builder_is_left(launcher: LabUser, image: dict[str, Any]) -> None:
    names = [row["Name"] for row in launcher.cloud.rows("server", "list")]
    assert not [name for name in names if name.startswith("stackserve-bake-")]
    assert image["properties"]["os_distro"] == "debian"


def test_deploy_selects_the_baked_image(pair: list[Server], image: dict[str, Any]) -> None:
    for server in pair:
        assert server.event("plan")["image"]["id"] == image["id"]
        assert server.event("result")["ready"] is True


def test_nothing_was_downloaded(pair: list[Server]) -> None:
    for server in pair:
        received = sum(map(int, server.ssh("cat /sys/class/net/e*/statistics/rx_bytes").split()))
        assert received < NO_DOWNLOAD
        assert server.ssh("cat /var/log/stackserve/packages.log") == ""
        assert server.ssh("cat /var/log/stackserve/dependencies.log") == ""


@pytest.mark.parametrize("what", UNIQUE)
def test_secrets_and_identities_are_unique(what: str, pair: list[Server]) -> None:
    first, second = (server.ssh(UNIQUE[what]) for server in pair)
    assert first and second
    assert first != second


def test_a_server_has_no_trace_of_the_builder(pair: list[Server], image: dict[str, Any]) -> None:
    builder = image["properties"]["stackserve_builder"]
    server = pair[0]
    # In brackets, so that sudo's log of this command does not match.
    words = f"[{builder[0]}]{builder[1:]}|[s]tackserve-bake-[0-9a-f]{{6}}"
    places = "/etc /home /root /opt /var /tmp"
    assert server.ssh(f"grep -rlsE '{words}' {places} || true", 900) == ""
    keys = server.ssh("cat /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys").splitlines()
    assert len({key.split("ssh-", 1)[1] for key in keys if "ssh-" in key}) == 1


def test_the_units_are_healthy(pair: list[Server]) -> None:
    for server in pair:
        for unit in ("rabbitmq-server", "stackserve-web", "stackserve-recorder"):
            assert server.ssh(f"systemctl is-active {unit}") == "active"
        assert server.ssh("systemctl is-enabled rabbitmq-server") == "enabled"
