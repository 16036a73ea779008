"""Who is silent, as the commands ask: a front end that cannot be asked stops nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from openstack_client.cli import silent
from openstack_client.cli.session import Session
from openstack_client.cli.silent import silent_workers
from openstack_client.cloud.credentials import Source
from openstack_client.cloud.resources import Server
from openstack_client.plan.inventory import Inventory, metadata
from openstack_client.roles import ours
from openstack_client.settings import merge
from tests.support.ssh_program import AnsweringSsh

KEY = "STACKSERVE-HOSTKEY ssh-ed25519 AAAA\n"
WORKED = "STACKSERVE stage=ready state=done t=90.00\n"
MADE_OF = metadata("x", run="00", code="c", data="d", user="debian")
FRONT = Server("s0", "x", "ACTIVE", addresses=("192.0.2.1",), metadata=MADE_OF)
THEIRS = {**MADE_OF, **ours("worker").watched.as_metadata(), "stackserve_part": "worker-1"}
WORKER = Server("s1", "x-worker-1", "ACTIVE", metadata=THEIRS)
LOST = {"worker-1": "not connected to the server"}


class Asking:
    """A session whose consoles show these texts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.notes: list[str] = []
        self.consoles = {"s0": KEY, "s1": WORKED}
        self.ssh = AnsweringSsh(folder, monkeypatch)
        monkeypatch.setattr("openstack_client.cli.session.keypairs", lambda cloud: ())
        monkeypatch.setattr(silent, "PATIENCE", 0.0)
        console = SimpleNamespace(get_console_output=lambda server, length: self.consoles[server])
        cloud: Any = SimpleNamespace(
            project_id="p1",
            nova=SimpleNamespace(servers=console),
            request=lambda service, what, call: call(),
            note=self.notes.append,
        )
        settings = merge({"name": "x", "config_dir": folder}, {}, None)[0]
        source = Source("clouds.yaml", "clouds.yaml", cloud="lab")
        self.session = Session(settings, {}, source, cloud, False, Console(width=1000))

    def __call__(self, *servers: Server, wait: bool = True) -> dict[str, str]:
        return silent_workers(self.session, Inventory("x", servers=servers), wait=wait)


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asking:
    return Asking(monkeypatch, tmp_path)


def test_one_that_is_not_connected(asking: Asking) -> None:
    asking.ssh.answer("list", "[]")
    assert asking(FRONT, WORKER) == LOST == asking(FRONT, WORKER, wait=False)
    asking.ssh.answer("list", json.dumps([{"name": "worker-1", "connected": True}]))
    assert asking(FRONT, WORKER) == {} and asking.notes == []


def test_a_front_end_that_does_not_answer_is_noted(asking: Asking) -> None:
    assert asking(FRONT, WORKER) == {}
    (note,) = asking.notes
    assert note.startswith("Cannot tell whether all worker VMs are connected: The ssh connection")


@pytest.mark.parametrize(
    "servers",
    [
        (FRONT,),
        (WORKER,),
        (replace(FRONT, status="ERROR"), WORKER),
        (FRONT, replace(WORKER, status="ERROR")),
    ],
)
def test_nobody_is_asked_in_vain(asking: Asking, servers: tuple[Server, ...]) -> None:
    assert asking(*servers) == {} and asking.ssh.asked == [] and asking.notes == []


def test_without_its_host_key_the_front_end_is_not_asked(asking: Asking) -> None:
    asking.consoles["s0"] = ""
    assert asking(FRONT, WORKER) == {} and asking.ssh.asked == [] and asking.notes == []
