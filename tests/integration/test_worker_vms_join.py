"""How worker VMs join and leave: real ssh through a front end, with host keys from the console.

Small programs stand in for what the servers offer under `sudo`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client.cloud.resources import Server
from openstack_client.deploy.accounts import Accounts, Tickets
from openstack_client.deploy.delete import Deleter
from openstack_client.deploy.joining import Crew, Joining
from openstack_client.deploy.shrink import remove_surplus
from openstack_client.errors import CloudError, ContextualizationError, ServerError, TimedOut
from openstack_client.plan import inventory
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Plan
from openstack_client.roles import ours
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget
from tests.support.ssh_server import SshServer, make_key, ssh_to
from tests.unit.openstack_client.recording_display import RecordingDisplay

FRONT, WORKER = "127.0.0.21", "127.0.0.22"
PASSWORD = "s3cret-of-worker-1"
TICKET = f'{{"name": "worker-1", "password": "{PASSWORD}"}}\n'
BEGUN = "STACKSERVE stage=code state=begin t=9.0\n"
DONE = "STACKSERVE stage=ready state=done t=30.0\n"
# What runs there: it notes the call, answers as told, and keeps what is delivered.
SUDO = """\
#!/bin/sh
shift
program=$(basename "$1"); shift
echo "$program $*" >>"$CALLS/log"
[ ! -e "$CALLS/refuse-$1" ] || { cat "$CALLS/refuse-$1" >&2; cat >/dev/null; exit 3; }
case "$program $1" in
    "stackserve-deliver "*) cat >"$CALLS/$1" ;;
    *) cat "$CALLS/answer-$1" 2>/dev/null || true ;;
esac
"""


@dataclass
class Place:
    """A front end, a worker VM behind it, and a folder in which both leave traces."""

    folder: Path
    front: SshServer
    worker: SshServer
    key: Path
    shown: str = ""
    """The console of the worker VM, once it has its ticket."""
    display: RecordingDisplay = field(default_factory=RecordingDisplay)

    @property
    def calls(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def front_target(self) -> SshTarget:
        known = self.folder / "front"
        known.write_text(self.front.on_port_22)
        return SshTarget(FRONT, "debian", self.key, known)

    @property
    def accounts(self) -> Accounts:
        return Accounts(self.front_target)

    def joining(self, console: Callable[[], str] | None = None, **more: Any) -> Joining:
        keys = self.worker.on_console

        def text() -> str:
            return keys + BEGUN + (DONE if (self.folder / "ticket").exists() else "")

        servers = SimpleNamespace(
            get=lambda server: SimpleNamespace(id=server, name="w1", status="ACTIVE"),
            get_console_output=lambda server, length: (console or text)(),
        )
        cloud: Any = SimpleNamespace(
            nova=SimpleNamespace(servers=servers), request=lambda service, doing, call: call()
        )
        front = self.front_target
        usual: dict[str, Any] = {
            "name": "worker-1",
            "tickets": Tickets(Accounts(front)),
            "is_new": True,
        }
        return Joining(
            cloud=cloud,
            server=Server("w1", "stackserve-x-worker-1", "ACTIVE"),
            target=SshTarget(WORKER, "debian", self.key, self.folder / "known", through=front),
            payload=b"the code",
            watched=ours("worker").watched,
            progress=Progress(self.display, server="worker-1"),
            **usual | more,
        )

    def run(self, joining: Joining, timeout: float = 20.0, broker_ready: bool = True) -> None:
        ready, stop = threading.Event(), threading.Event()
        if broker_ready:
            ready.set()
        joining.run(ready, stop, timeout)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("hosts")
    programs, traces = folder / "bin", folder / "calls"
    programs.mkdir()
    traces.mkdir()
    (programs / "sudo").write_text(SUDO)
    (programs / "sudo").chmod(0o755)
    key = make_key(folder / "user" / "id")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        patch.setenv("CALLS", str(traces))
        front = SshServer(folder / "front", key.with_suffix(".pub"), FRONT)
        worker = SshServer(folder / "worker", key.with_suffix(".pub"), WORKER)
        ssh_to(programs, front, worker)
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        yield Place(traces, front, worker, key)
    front.stop()
    worker.stop()


@pytest.fixture
def place(hosts: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    for trace in hosts.folder.iterdir():
        trace.unlink()
    (hosts.folder / "answer-add").write_text(TICKET)
    monkeypatch.setattr("openstack_client.watch.boot.CONSOLE_EVERY", 0.05)
    hosts.display = RecordingDisplay()
    return hosts


def test_it_gets_its_code_and_then_its_ticket(place: Place) -> None:
    place.run(place.joining())
    assert place.calls == [
        "stackserve-deliver code",
        "stackserve-workers add worker-1",
        "stackserve-deliver ticket",
    ]
    assert (place.folder / "code").read_bytes() == b"the code"
    assert (place.folder / "ticket").read_text() == TICKET
    done = [(step.server, step.stage) for step in place.display.steps if step.state == "done"]
    assert done == [("worker-1", "ready")]
    told = place.display.notes + place.display.lines + [s.detail for s in place.display.steps]
    assert told and not [text for text in told if PASSWORD in text]


def test_more_processes_than_usual_are_allowed_for(place: Place) -> None:
    assert Accounts(place.front_target, 8).add(["worker-1"]) == {"worker-1": TICKET.encode()}
    assert place.calls == ["stackserve-workers add worker-1 --processes 8"]


def test_it_gets_no_ticket_before_the_broker_runs(place: Place) -> None:
    with pytest.raises(TimedOut, match=r"has not joined after 1 s.*it has its code"):
        place.run(place.joining(), timeout=1, broker_ready=False)
    assert place.calls == ["stackserve-deliver code"]


def test_nothing_is_sent_to_a_server_with_another_host_key(place: Place) -> None:
    joining = place.joining(lambda: place.front.on_console + BEGUN)
    with pytest.raises(TimedOut, match="Host key verification failed"):
        place.run(joining, timeout=1)
    assert place.calls == []


def test_nothing_is_sent_before_the_console_shows_the_host_key(place: Place) -> None:
    (place.folder / "known").unlink(missing_ok=True)
    with pytest.raises(TimedOut, match="the console has not shown its host key"):
        place.run(place.joining(lambda: BEGUN), timeout=0.3)
    assert place.calls == []


def test_nothing_goes_through_a_front_end_with_another_host_key(place: Place) -> None:
    joining = place.joining()
    assert joining.target.through
    joining.target.through.known_hosts.write_text(place.worker.on_port_22.replace(WORKER, FRONT))
    with pytest.raises(TimedOut, match="has not joined"):
        place.run(joining, timeout=1)
    assert place.calls == []


@pytest.mark.parametrize(("what", "verb"), [("code", "code"), ("ticket", "add")])
def test_what_is_refused_for_long_is_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, what: str, verb: str
) -> None:
    monkeypatch.setattr("openstack_client.watch.delivery.PATIENCE", 0.5)
    (place.folder / f"refuse-{verb}").write_text("it is not possible\n")
    with pytest.raises(ContextualizationError, match=f"does not get its {what}: .*not possible"):
        place.run(place.joining())
    assert place.calls.count(place.calls[-1]) > 1


def test_what_is_refused_at_first_is_tried_again(place: Place) -> None:
    refusal = place.folder / "refuse-add"
    refusal.write_text("RabbitMQ is starting\n")
    threading.Timer(1, refusal.unlink).start()
    place.run(place.joining())
    assert (place.folder / "ticket").exists()


def test_a_step_that_fails_on_it_is_reported(place: Place) -> None:
    failed = 'STACKSERVE stage=packages state=failed t=33.0 detail="no such package"\n'
    with pytest.raises(ContextualizationError) as raised:
        place.run(place.joining(lambda: failed))
    assert "'packages' failed on the server 'stackserve-x-worker-1' 33 s" in raised.value.what


def test_one_that_joined_before_is_left_alone(place: Place) -> None:
    """Its console may have lost the stages since then; the front end knows."""
    listed = '[{"name": "worker-1", "connected": true}, {"name": "worker-2", "connected": false}]'
    (place.folder / "answer-list").write_text(listed)
    place.run(place.joining(lambda: "", is_new=False))
    assert place.calls == ["stackserve-workers list"]


def test_a_cloud_without_consoles(place: Place) -> None:
    """A new worker VM cannot be verified; one that joined before is left alone."""
    (place.folder / "known").unlink(missing_ok=True)

    def hidden() -> str:
        raise CloudError("Nova could not show the console log: no", "", status=403)

    with pytest.raises(ServerError, match="the host key of server 'stackserve-x-worker-1' is not"):
        place.run(place.joining(hidden))
    (place.folder / "answer-list").write_text('[{"name": "worker-1", "connected": true}]')
    joining, ready = place.joining(hidden, is_new=False), threading.Event()
    threading.Timer(0.5, ready.set).start()
    joining.run(ready, threading.Event(), 20)
    assert place.calls == ["stackserve-workers list"]


def test_several_join_at_the_same_time(place: Place) -> None:
    """One command on the front end makes the tickets of all: each takes it seconds."""
    names = ["worker-1", "worker-2"]
    (place.folder / "answer-add").write_text(TICKET + TICKET.replace("worker-1", "worker-2"))
    tickets = Tickets(place.accounts, names)
    members = [place.joining(name=name, tickets=tickets) for name in names]
    with Crew(members, 20) as crew:
        crew.wait(lambda: None, time.sleep)
    assert place.calls.count("stackserve-workers add worker-1 worker-2") == 1
    assert place.calls.count("stackserve-deliver ticket") == 2
    assert len([call for call in place.calls if " add " in call]) == 1


def test_the_first_error_of_several_is_raised_at_last(place: Place) -> None:
    failed = 'STACKSERVE stage=packages state=failed t=33.0 detail="no such package"\n'
    good, bad = place.joining(), place.joining(lambda: failed)
    with (
        Crew([bad, good], 20) as crew,
        pytest.raises(ContextualizationError, match="no such package"),
    ):
        crew.wait(lambda: None, time.sleep)
    assert (place.folder / "ticket").exists()


# Leaving


def surplus(status: str = "ACTIVE") -> Plan:
    metadata = {"stackserve_deployment": "x", inventory.PART_KEY: "worker-2"}
    server = Server("w2", "stackserve-x-worker-2", status, metadata=metadata)
    return Plan("x", surplus=Inventory("x", servers=(server,)))


class Recording(Deleter):
    """Deletes nothing, and notes when it would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def delete(self, what: Inventory) -> None:
        with (self.folder / "log").open("a") as log:
            print("delete", *(server.id for server in what.servers), file=log)


def leave(place: Place, plan: Plan, *, drain: bool = True) -> None:
    progress = Progress(place.display)
    remove_surplus(plan, place.front_target, Recording(place.folder), progress, drain=drain)


def test_one_that_leaves_is_drained_first(place: Place) -> None:
    leave(place, surplus())
    assert place.calls == [
        "stackserve-workers drain worker-2 --timeout 600",
        "stackserve-workers remove worker-2",
        "delete w2",
    ]


def test_one_that_cannot_be_drained_stays(place: Place) -> None:
    (place.folder / "refuse-drain").write_text("error: it still holds 1 task\n  Try again later.\n")
    with pytest.raises(ContextualizationError) as raised:
        leave(place, surplus())
    assert "worker-2 was not removed" in raised.value.what
    assert "on the front end: it still holds 1 task." in raised.value.what
    assert "--no-drain" in raised.value.remedy
    assert "delete w2" not in place.calls


def test_one_that_does_not_run_is_deleted_at_once(place: Place) -> None:
    """Its account goes too, but only after it."""
    for plan, drain in ((surplus("ERROR"), True), (surplus(), False)):
        leave(place, plan, drain=drain)
    assert place.calls == ["delete w2", "stackserve-workers remove worker-2"] * 2


def test_a_front_end_that_ssh_cannot_reach(place: Place) -> None:
    (place.folder / "unknown").write_text("")
    accounts = Accounts(SshTarget(FRONT, "debian", place.key, place.folder / "unknown"))
    with pytest.raises(ServerError, match="Host key verification failed"):
        accounts.add(["worker-1"])
