"""A deployment with a time to live, on a real guest: it removes itself, and nothing is left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.support.cloud import LabCloud
from tests.support.lab_user import LabUser, Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(2000)]

NAME = "brief"
# Kinds of resources in the `openstack` command line.
KINDS = (
    "server",
    "port",
    "floating ip",
    "security group",
    "security group rule",
    "keypair",
    "volume",
    "application credential",
    "access rule",
)
# The time to live, a tick of the timer, and Nova's work on a busy machine.
GONE_SECONDS = 180 + 60 + 120
SECRET_FILE = "/etc/stackserve/removal.json"


def project(cloud: LabCloud) -> dict[str, list[str]]:
    """All resources of the project, listed without the launcher."""
    listed = {kind: cloud.openstack(*kind.split(), "list", "-f", "value") for kind in KINDS}
    return {kind: sorted(ended.output.splitlines()) for kind, ended in listed.items()}


@pytest.fixture
def user(real_lab: LabCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabUser]:
    someone = LabUser(real_lab, tmp_path_factory.mktemp("time-to-live"))
    yield someone
    someone.run("delete", NAME, "--yes")


def test_it_is_gone_by_itself(user: LabUser, real_lab: LabCloud) -> None:
    before = project(real_lab)
    server = Server(user.events("deploy", NAME, "--role", "hello", "--ttl", "3m"))
    result = server.event("result")
    assert (result["removes_itself"], result["removal_problem"]) == (True, None)
    check_that_the_secret_stays_secret(server, real_lab)
    assert server.ssh("systemctl is-active expire-stackserve.timer") == "active"
    security = server.ssh("systemd-analyze security --no-pager expire-stackserve.service | tail -1")
    assert float(security.split(":")[1].split()[0]) < 3
    until = time.monotonic() + GONE_SECONDS
    while any(result["server"] in line for line in project(real_lab)["server"]):
        assert time.monotonic() < until, server.ssh("journalctl -u expire-stackserve -o cat")
        time.sleep(5)
    after = project(real_lab)
    kept = ("application credential", "access rule")
    assert {kind: rows for kind, rows in after.items() if kind not in kept} == {
        kind: rows for kind, rows in before.items() if kind not in kept
    }
    assert len(after["application credential"]) == len(before["application credential"]) + 1
    assert user.run("delete", NAME, "--yes").code == 0
    assert project(real_lab) == before


def check_that_the_secret_stays_secret(server: Server, cloud: LabCloud) -> None:
    assert server.ssh(f"stat -c '%a %U' {SECRET_FILE}") == "600 root"
    secret = json.loads(server.ssh(f"cat {SECRET_FILE}"))["secret"]
    assert len(secret) > 20
    assert secret not in json.dumps(server.events)
    shown = cloud.openstack("console", "log", "show", server.event("result")["server"])
    assert "login:" in shown.output and secret not in shown.output
    # The pattern in brackets does not match the command that searches for it.
    pattern = f"[{secret[0]}]{secret[1:]}"
    for place in ("journalctl --no-pager", "ps axeww", "cat /var/lib/cloud/instance/user-data.txt"):
        assert server.ssh(f"{place} | grep -c -e '{pattern}' || true") == "0", place
