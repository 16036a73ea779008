"""A deployment as autoscale sees and changes it; the lists of the cloud's APIs are given."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from openstack_client.cli import team
from openstack_client.cli.session import Session
from openstack_client.cli.team import OpenStackTeam
from openstack_client.cloud import queries
from openstack_client.cloud.credentials import Source
from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Port, Server
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.errors import (
    Busy,
    NoDeployment,
    PreflightError,
    Problem,
    ServerError,
    SettingsError,
)
from openstack_client.plan.inventory import mark, metadata
from openstack_client.plan.load import Load
from openstack_client.plan.model import Plan
from openstack_client.roles import ours
from openstack_client.settings import Settings, merge
from tests.support.ssh_program import AnsweringSsh

MADE_OF = metadata("x", run="00", code="c", data="d", user="debian")
FRONT = Server("s0", "x", "ACTIVE", addresses=("192.0.2.1",), metadata=MADE_OF)
WORKER = Server("s1", "x-worker-1", "BUILD", metadata={**MADE_OF, "stackserve_part": "worker-1"})
PORTS = (Port("p0", "x", mark("x", "00")), Port("p1", "x", mark("x", "00", "worker-1")))
FIGURES = (
    '{"wait_seconds": 1, "busy": 1, "chunks": 0, "jobs_seconds": 0, "workers": 1, "silent": 0}'
)
KEY = "STACKSERVE-HOSTKEY ssh-ed25519 AAAA\n"


class Given:
    """A cloud with these resources, and what was done with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.servers: tuple[Server, ...] = (FRONT, WORKER)
        self.ports: tuple[Port, ...] = PORTS
        self.consoles = 0
        self.problems: list[Problem] = []
        self.launched: list[Settings] = []
        self.planned = frozenset({"s0", "s1", "p0", "p1"})
        self.ssh = AnsweringSsh(folder, monkeypatch)
        monkeypatch.setattr(queries, "servers", lambda cloud: self.servers)
        monkeypatch.setattr(queries, "ports", lambda cloud: self.ports)
        for kind in ("addresses", "groups"):
            monkeypatch.setattr(queries, kind, lambda cloud: ())
        for kind in ("keypairs", "servers", "groups", "ports", "addresses"):
            monkeypatch.setattr(f"openstack_client.cli.session.{kind}", lambda cloud: ())
        monkeypatch.setattr(team, "Launch", self.launch)
        console = SimpleNamespace(get_console_output=self.console)
        cloud: Any = SimpleNamespace(
            project_id="p1",
            nova=SimpleNamespace(servers=console),
            request=lambda service, what, call: call(),
        )
        settings = merge({"name": "x", "config_dir": folder, "ttl": "8h"}, {}, None)[0]
        source = Source("clouds.yaml", "clouds.yaml", cloud="lab")
        session = Session(settings, {}, source, cloud, False, Console(width=1000))
        monkeypatch.setattr(session, "plan", self.plan)
        self.team = OpenStackTeam(session, Identity("d", "u1", "d", "p1"), Interrupts())

    def console(self, server: str, length: int | None = None) -> str:
        self.consoles += 1
        return KEY

    def plan(self, identity: Identity, **how: Any) -> tuple[Plan, None]:
        assert how["scaling"] and not how["silent"]
        return Plan("x", seen=self.planned, problems=self.problems), None

    def launch(self, **how: Any) -> Any:
        return SimpleNamespace(run=lambda: self.launched.append(how["settings"]))


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    return Given(monkeypatch, tmp_path)


def test_it_sees_worker_vms_and_whether_another_run_is_at_work(given: Given) -> None:
    seen = given.team.look()
    assert seen.mine.workers == ["worker-1"] and not seen.is_changing
    tag = f"stackserve-holds-00ff-{int(time.time())}"
    given.ports = (replace(PORTS[0], tags=(tag,)), PORTS[1])
    assert given.team.look().is_changing


def test_it_ends_with_the_deployment(given: Given) -> None:
    given.servers = given.ports = ()
    with pytest.raises(NoDeployment):
        given.team.look()


def test_the_host_key_is_read_once(given: Given) -> None:
    seen = given.team.look()
    with pytest.raises(ServerError, match="Connection timed out"):
        given.team.load(seen)
    given.ssh.answer("load", FIGURES)
    assert given.team.load(seen) == Load(1.0, 1.0, workers=1)
    assert given.consoles == 1 and given.ssh.asked == ["load", "load"]


def test_a_server_that_does_not_run_has_no_load(given: Given) -> None:
    given.servers = (replace(FRONT, status="SHUTOFF"), WORKER)
    with pytest.raises(ServerError, match="SHUTOFF, so its load is not known"):
        given.team.load(given.team.look())


def test_a_role_without_workers_has_no_load(given: Given) -> None:
    hello = {**MADE_OF, **ours("hello").watched.as_metadata()}
    given.servers = (replace(FRONT, metadata=hello),)
    with pytest.raises(SettingsError, match="has the role hello, which has no worker VMs"):
        given.team.load(given.team.look())


def test_it_scales_and_does_not_renew_the_time_to_live(given: Given) -> None:
    given.team.scale(given.team.look(), 3)
    ((settings),) = given.launched
    assert settings.worker_vms == 3 and settings.ttl is None


def test_it_changes_nothing_that_it_has_not_seen(given: Given) -> None:
    seen = given.team.look()
    given.planned |= {"s2", "p2"}
    with pytest.raises(Busy):
        given.team.scale(seen, 2)
    given.problems.append(Problem("quota", "used up."))
    with pytest.raises(PreflightError):
        given.team.scale(seen, 2)
    assert given.launched == [] and given.team.why_not(2) == given.problems
