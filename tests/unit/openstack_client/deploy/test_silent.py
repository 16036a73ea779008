"""Silent worker VMs: which ones they are, and that the others are given time."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client import lifetime
from openstack_client.cloud.resources import Server
from openstack_client.deploy import silent
from openstack_client.deploy.accounts import Accounts
from openstack_client.deploy.silent import Search, why_silent
from openstack_client.errors import ServerError
from openstack_client.plan.inventory import Inventory, metadata
from openstack_client.roles import ours
from openstack_client.watch import console
from tests.support.ssh_program import AnsweringSsh

WATCHED = ours("worker").watched
LOST = "not connected to the server"


def text(*states: str, boot: bool = True) -> str:
    """A console with these stages, each as NAME:STATE."""
    first = ["booting:begin", "booting:done"] if boot else []
    pairs = [state.split(":") for state in [*first, *states]]
    return "\n".join(f"STACKSERVE stage={stage} state={state} t=9.00" for stage, state in pairs)


WORKED = text("packages:begin", "packages:done", "ready:begin", "ready:done")


@pytest.mark.parametrize(
    ("shown", "age", "why"),
    [
        (WORKED, 60, LOST),
        # Some step is in progress, or waits for its code or its ticket.
        (text("packages:begin"), 9000, ""),
        (text("packages:begin", "packages:done", "code:begin"), 9000, ""),
        (text("code:begin", "code:done", "rabbitmq:begin"), 9000, ""),
        (text("packages:begin", "packages:failed"), 60, "its step 'packages' failed"),
        # No console, or it has just booted.
        ("", 60, ""),
        ("", 9000, LOST),
        (text(), 60, ""),
        # It worked, and was restarted since: then no step begins.
        (f"{WORKED}\n{text()}", 9000, LOST),
        (f"{text('packages:begin', 'packages:failed')}\n{WORKED}", 60, LOST),
    ],
)
def test_who_is_silent(shown: str, age: float, why: str) -> None:
    marks = console.marks(shown, WATCHED.stages)
    assert why_silent(marks, WATCHED.stages, age, 1800) == why


def worker(number: int, status: str = "ACTIVE", minutes: int = 5) -> Server:
    created = lifetime.written(lifetime.now() - dt.timedelta(minutes=minutes))
    part = f"worker-{number}"
    made = metadata("x", run="00", code="c", data="d", user="u", watched=WATCHED, part=part)
    return Server(f"s{number}", part, status, created, metadata=made)


class Front:
    """A front end that knows these worker VMs, and a cloud with these consoles."""

    def __init__(self, ssh: AnsweringSsh, consoles: dict[str, str]) -> None:
        self.ssh = ssh
        self.consoles = consoles
        self.notes: list[str] = []
        self.slept = 0.0

    def connect(self, *names: str) -> None:
        rows = [{"name": name, "connected": True} for name in names]
        self.ssh.answer("list", json.dumps([*rows, {"name": "worker-9", "connected": False}]))

    def find(self, *servers: Server, patience: float = 0) -> dict[str, str]:
        def read(server: str, length: int | None = None) -> str:
            return self.consoles[server]

        def sleep(seconds: float) -> None:
            self.slept += seconds
            self.connect("worker-1", "worker-2")

        cloud: Any = SimpleNamespace(
            nova=SimpleNamespace(servers=SimpleNamespace(get_console_output=read)),
            request=lambda service, what, call: call(),
        )
        search = Search(
            cloud=cloud,
            accounts=Accounts(self.ssh.target),
            setup=1800,
            note=self.notes.append,
            sleep=sleep,
        )
        front = Server("s0", "x", "ACTIVE", metadata={})
        return search.find(Inventory("x", servers=(front, *servers)), patience)


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Front:
    return Front(AnsweringSsh(tmp_path, monkeypatch), {"s1": WORKED, "s2": WORKED, "s3": ""})


def test_those_that_are_connected_or_young_are_not_silent(front: Front) -> None:
    front.connect("worker-1")
    assert front.find(worker(1), worker(2), worker(3)) == {"worker-2": LOST}
    assert front.find(worker(1), worker(2), worker(3, minutes=31)) == {
        "worker-2": LOST,
        "worker-3": LOST,
    }
    assert front.notes == [] and front.slept == 0


def test_one_that_comes_back_in_time_is_not_silent(front: Front) -> None:
    front.connect("worker-1")
    assert front.find(worker(1), worker(2), patience=60) == {}
    assert front.notes == ["Waiting up to 60 s for worker-2: not connected."]
    assert front.slept == silent.ASK_EVERY


def test_without_one_that_runs_nobody_is_asked(front: Front) -> None:
    assert front.find(worker(1, "ERROR"), worker(2, "SHUTOFF")) == {}
    assert front.ssh.asked == []


def test_a_front_end_that_does_not_answer_is_an_error(front: Front) -> None:
    with pytest.raises(ServerError, match="Connection timed out"):
        front.find(worker(1))
