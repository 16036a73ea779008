"""Let worker VMs join the front end, all at the same time.

A new worker VM waits for two things that its user data does not contain: its code, and a ticket
with its account at the front end's broker. Both go over ssh, through the front end, and every host
key is the one that the console shows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.pool import AsyncResult, ThreadPool

from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.deploy.accounts import Tickets
from openstack_client.errors import LauncherError, TimedOut
from openstack_client.roles import Watched
from openstack_client.watch import boot, console
from openstack_client.watch.boot import BootConsole
from openstack_client.watch.delivery import CodeDelivery, Delivery
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget
from openstack_client.watch.wait import check_running

POLL = 0.5
SERVER_EVERY = 15.0


@dataclass(kw_only=True)
class Joining:
    """One worker VM on its way to the front end."""

    cloud: Cloud
    name: str
    server: Server
    target: SshTarget
    payload: bytes
    watched: Watched
    tickets: Tickets
    progress: Progress
    is_new: bool
    in_image: bool = False
    """Whether the code should be on its image."""
    unknown: str = ""
    """Why the front end does not say whether it is connected."""

    def __post_init__(self) -> None:
        self.console = BootConsole(
            self.cloud,
            self.server,
            self.target.address,
            self.progress,
            self.target.known_hosts,
            stages=self.watched.stages,
        )
        shown = f"server {self.server.name!r}"
        self.code = CodeDelivery.to(
            self.target, shown, self.payload, self.console, in_image=self.in_image
        )
        # It holds a password.
        self.ticket = Delivery(
            self.target, shown, "ticket", lambda: self.tickets.get(self.name), self.progress
        )

    def run(self, broker_ready: threading.Event, stop: threading.Event, timeout: float) -> None:
        """Follow it until it works. Raises an error with the cause if it does not get there."""
        until = time.monotonic() + timeout
        next_check = 0.0
        while not stop.is_set():
            self.console.update()
            self._raise_failure()
            if self._works(broker_ready.is_set()):
                self.progress.stage(self.watched.stages[-1], "done")
                return
            self._advance(broker_ready.is_set())
            now = time.monotonic()
            if now >= next_check:
                check_running(self.cloud, self.server, self.progress)
                next_check = now + SERVER_EVERY
            if now > until:
                raise self._timed_out(timeout)
            stop.wait(boot.CONSOLE_EVERY)

    def _works(self, broker_ready: bool) -> bool:
        if console.is_ready(self.console.marks, self.watched.stages[-1]):
            return True
        # The console of one that joined long ago may no longer show it.
        if self.is_new or self.ticket.done or not broker_ready:
            return False
        try:
            return self.name in self.tickets.accounts.connected()
        except LauncherError as error:
            self.unknown = error.what.rstrip(".")
            return False

    def _advance(self, broker_ready: bool) -> None:
        """Deliver what it lacks and can be delivered by now."""
        if not (self.is_new or broker_ready or self.console.works):
            return  # It may have joined long ago; the front end will tell.
        if self.code.complete() and broker_ready:
            self.ticket.complete()

    @property
    def _answer(self) -> str:
        """The last thing that was heard from it."""
        tried = self.ticket.done or self.ticket.error
        heard = self.ticket.answer if tried else "it has its code"
        return self.code.missing or self.unknown or heard

    def _raise_failure(self) -> None:
        self.console.raise_failure(
            f"server {self.server.name!r}",
            f"For details: {self.target.shell_command}   (sudo journalctl -u cloud-final -e)",
        )

    def _timed_out(self, timeout: float) -> TimedOut:
        stages = console.waiting_for(self.console.marks, self.watched.stages)
        return TimedOut(
            f"{self.server.name} has not joined after {timeout:.0f} s. Missing: {stages}; "
            f"{self._answer}.{self.console.last_line_sentence}",
            "Run the command again to keep waiting.",
        )


@dataclass
class Crew:
    """All worker VMs that are to join, each followed by a thread of its own."""

    members: Sequence[Joining]
    timeout: float
    broker_ready: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    results: list[AsyncResult[None]] = field(default_factory=list)
    pool: ThreadPool | None = None
    """Its threads are daemons, so nothing waits for them after an error or Ctrl-C."""

    def __enter__(self) -> Crew:
        if self.members:
            self.pool = ThreadPool(len(self.members))
            arguments = (self.broker_ready, self.stop, self.timeout)
            self.results = [self.pool.apply_async(member.run, arguments) for member in self.members]
            self.pool.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()

    def wait(self, meanwhile: Callable[[], None], sleep: Callable[[float], None]) -> None:
        """Wait until all have joined. An error of one does not keep the others from joining."""
        self.broker_ready.set()
        while not all(result.ready() for result in self.results):
            meanwhile()
            sleep(POLL)
        errors: list[LauncherError] = []
        for result in self.results:
            try:
                result.get()
            except LauncherError as error:
                errors.append(error)
        if errors:
            raise errors[0]
