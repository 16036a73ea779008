"""Find worker VMs that run but do not work any more: Nova calls them ACTIVE, the server is not
connected to any process of theirs, and they are not being set up either."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openstack_client import lifetime
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.deploy.accounts import Accounts
from openstack_client.errors import CloudError
from openstack_client.plan.inventory import Inventory, part_of, watched
from openstack_client.watch import console
from openstack_client.watch.boot import read_console
from openstack_client.watch.console import Mark

ASK_EVERY = 10.0


def running(mine: Inventory) -> list[Server]:
    """The worker VMs that Nova runs."""
    return [server for server in mine.servers if part_of(server) and server.status == "ACTIVE"]


@dataclass(kw_only=True)
class Search:
    """Asks the front end who is connected, and the consoles of the others why not."""

    cloud: Cloud
    accounts: Accounts
    setup: float
    """Seconds that a new worker VM may take to boot."""
    note: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def find(self, mine: Inventory, patience: float) -> dict[str, str]:
        """What is wrong with each of the silent worker VMs, after waiting for them this long."""
        servers = running(mine)
        connected = self.accounts.connected() if servers else ()
        absent = [server for server in servers if part_of(server) not in connected]
        found = {part_of(server): why for server in absent if (why := self._why(server))}
        if found and patience:
            names = ", ".join(found)
            self.note(f"Waiting up to {patience:.0f} s for {names}: not connected.")
        until = time.monotonic() + patience
        while found and time.monotonic() < until:
            self.sleep(ASK_EVERY)
            connected = self.accounts.connected()
            found = {part: why for part, why in found.items() if part not in connected}
        return found

    def _why(self, server: Server) -> str:
        try:
            text = read_console(self.cloud, server)
        except CloudError:
            text = ""
        stages = watched(server).stages
        return why_silent(console.marks(text, stages), stages, _age(server), self.setup)


def why_silent(marks: Sequence[Mark], stages: Sequence[str], age: float, setup: float) -> str:
    """Why this worker VM should be connected by now, or never will be. Empty: it is being set up.

    The steps have limits of their own, so one in progress ends, or fails. If no step has begun, as
    after a restart or without a console, only its age tells.
    """
    last = console.since_boot(marks)
    failed = console.failed(last)
    if failed:
        return f"its step {failed.stage!r} failed"
    if console.is_ready(last, stages[-1]):
        return "not connected to the server"
    begun = {mark.stage for mark in last if mark.state == "begin" and mark.stage != stages[0]}
    done = {mark.stage for mark in last if mark.state == "done"}
    return "" if begun - done or age < setup else "not connected to the server"


def _age(server: Server) -> float:
    """Seconds since it was created; 0 if the cloud does not say when."""
    created = lifetime.read(server.created)
    return (lifetime.now() - created).total_seconds() if created else 0.0
