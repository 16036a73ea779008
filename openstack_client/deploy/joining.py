"""Let worker VMs join the front end, all at the same time.

A new worker VM waits for two things that its user data does not contain: its code, and a ticket
with its account at the front end's broker. Both go over ssh, through the front end, and every host
key is the one that the console shows.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.pool import AsyncResult, ThreadPool

from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.deploy.accounts import Tickets
from openstack_client.errors import ContextualizationError, LauncherError, TimedOut
from openstack_client.roles import Watched
from openstack_client.watch import boot, console
from openstack_client.watch.boot import BootConsole, knows_host
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget, failure
from openstack_client.watch.wait import check_running

DELIVER = "sudo -n /usr/local/sbin/stackserve-deliver"
POLL = 0.5
SERVER_EVERY = 15.0
NO_CONNECTION = 255
# A server that is still being set up may refuse for a while what it takes later.
PATIENCE = 600.0


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
    has_code: bool = False
    has_ticket: bool = False
    refused_since: float | None = None
    answer: str = "ssh has not answered yet"
    """The last thing that was heard from it."""

    def __post_init__(self) -> None:
        self.console = BootConsole(
            self.cloud,
            self.server,
            self.target.address,
            self.progress,
            self.target.known_hosts,
            stages=self.watched.stages,
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
        if self.is_new or self.has_ticket or not broker_ready:
            return False
        try:
            return self.name in self.tickets.accounts.connected()
        except LauncherError as error:
            self.answer = error.what.rstrip(".")
            return False

    def _advance(self, broker_ready: bool) -> None:
        """Deliver what it lacks and can be delivered by now."""
        if not knows_host(self.target.known_hosts, self.target.address):
            return
        self.has_code = self.has_code or self._deliver("code", self.payload)
        if self.has_code and broker_ready and not self.has_ticket:
            self.has_ticket = self._deliver_ticket()

    def _deliver_ticket(self) -> bool:
        try:
            ticket = self.tickets.get(self.name)
        except LauncherError as error:
            self._refused("ticket", error.what.rstrip("."))
            return False
        return self._deliver("ticket", ticket)

    def _deliver(self, what: str, data: bytes) -> bool:
        try:
            done = self.target.send(f"{DELIVER} {what}", data)
        except subprocess.TimeoutExpired:
            self.answer = f"the delivery of its {what} did not end"
            return False
        if done.returncode == 0:
            self.refused_since = None
            self.answer = f"it has its {what}"
            self.progress.note(f"{what} delivered")
            return True
        answer = failure(done.stderr)
        if done.returncode == NO_CONNECTION:
            self.answer = answer
        else:
            self._refused(what, answer)
        return False

    def _refused(self, what: str, answer: str) -> None:
        """Try again later, unless it has been refused for long."""
        now = time.monotonic()
        self.answer = answer
        self.refused_since = now if self.refused_since is None else self.refused_since
        if now - self.refused_since > PATIENCE:
            raise ContextualizationError(
                f"{self.server.name} does not get its {what}: {answer}.",
                "Run `deploy` again, or replace all servers with --recreate.",
            )

    def _raise_failure(self) -> None:
        self.console.raise_failure(
            f"server {self.server.name!r}",
            f"For details: {self.target.shell_command}   (sudo journalctl -u cloud-final -e)",
        )

    def _timed_out(self, timeout: float) -> TimedOut:
        stages = console.waiting_for(self.console.marks, self.watched.stages)
        return TimedOut(
            f"{self.server.name} has not joined after {timeout:.0f} s. Missing: {stages}; "
            f"{self.answer}.{self.console.last_line_sentence}",
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
