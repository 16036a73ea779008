"""Watch a server become useful: built by Nova, contextualized by cloud-init, answering."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from openstack_client import console, gather
from openstack_client.cloud import Cloud
from openstack_client.errors import (
    CloudError,
    ContextualizationError,
    LauncherError,
    ServerError,
    TimedOut,
)
from openstack_client.facts import Server
from openstack_client.firewall import HTTP_PORT
from openstack_client.progress import Progress
from openstack_client.readiness import Probe, Service
from openstack_client.ssh import Way
from openstack_client.userdata import Delivery, deliver

POLL = 1.0
CONSOLE_EVERY = 3.0
SERVER_EVERY = 15.0
DELIVERY_PATIENCE = 8.0


def until_active(
    cloud: Cloud,
    server: Server,
    *,
    timeout: float,
    progress: Progress,
    meanwhile: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Server:
    """Wait until Nova has built the server; ServerError tells Nova's fault in words."""
    until = time.monotonic() + timeout
    while True:
        now = look_patiently(cloud, server, progress)
        if now.status == "ERROR":
            raise fault(now)
        if now.status == "ACTIVE":
            progress.stage("building", "done")
            progress.stage("active", "done")
            return now
        doing = f"{now.status}, {now.task}" if now.task else now.status
        progress.stage("building", "begin", doing)
        if time.monotonic() > until:
            raise TimedOut(
                f"After {timeout:.0f} s the server is still {doing}; Nova has not made it ACTIVE.",
                "Give it longer with --timeout-build SECONDS, or ask the cloud's operators "
                f"about server {server.id}.",
            )
        meanwhile()
        sleep(POLL)


def fault(server: Server) -> ServerError:
    """Nova's fault, explained."""
    said = server.fault or "Nova tells no reason"
    remedy = f"Give server {server.id} to the cloud's operators, or run the command again."
    if "no valid host" in said.lower():
        where = f" in zone {server.zone}" if server.zone else ""
        remedy = (
            f"No hypervisor{where} has room for flavor {server.flavor!r} now, or none fits the "
            "image's properties: try a smaller --flavor, another --availability-zone, or later."
        )
    elif "exceeded" in said.lower() and "retries" in said.lower():
        remedy = (
            "Every hypervisor that Nova tried refused: try another --flavor or --image, or later."
        )
    elif "block device" in said.lower() or "volume" in said.lower():
        remedy = "The volume could not be made: check the volume quota, or leave --volume-size out."
    return ServerError(f"The server ended in ERROR. Nova says: {said.rstrip('.')}.", remedy)


def _look(cloud: Cloud, server: Server) -> Server:
    try:
        return gather.server(cloud, server.id)
    except CloudError as error:
        if error.status == 404:
            raise ServerError(
                f"The server {server.id} is gone: somebody else deleted it.",
                "Run the command again to make a new one.",
            ) from error
        raise


def look_patiently(cloud: Cloud, server: Server, progress: Progress) -> Server:
    """The server as it is; as it was, while Nova is out of order."""
    try:
        return _look(cloud, server)
    except CloudError as error:
        if not error.may_pass:
            raise
        progress.note(f"Waiting on: {error.what}")
        return server


class ReadyWatch:
    """Waits for a prediction, telling the stages that the console shows meanwhile."""

    def __init__(
        self,
        cloud: Cloud,
        server: Server,
        *,
        way: Way,
        payload: bytes,
        progress: Progress,
        meanwhile: Callable[[], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.cloud = cloud
        self.server = server
        self.way = way
        self.address = way.address
        self.payload = payload
        self.progress = progress
        self.meanwhile = meanwhile
        self.sleep = sleep
        self.service = Service(way.address)
        self.marks: list[console.Mark] = []
        self.last_line = ""
        self.last_probe = "it was not asked yet"
        self.handed_over = False
        self.console_works = True
        self.failure_log = ""

    def wait(self, timeout: float) -> Probe:
        """The first prediction, or the reason why there is none."""
        until = time.monotonic() + timeout
        next_console = next_server = 0.0
        while True:
            probe = self._try_http()
            if probe and probe.ok:
                self._read_console()
                for stage in console.STAGES:
                    self.progress.stage(stage, "done", probe.words if stage == "ready" else "")
                return probe
            now = time.monotonic()
            if now >= next_console:
                self._read_console()
                self._raise_failure()
                next_console = time.monotonic() + CONSOLE_EVERY
            if now >= next_server:
                self._check_server()
                next_server = now + SERVER_EVERY
            if now > until:
                raise self._timed_out(timeout)
            self.meanwhile()
            self.sleep(POLL)

    def _try_http(self) -> Probe | None:
        if not self.handed_over:
            try:
                result = deliver(self.address, HTTP_PORT, self.payload, DELIVERY_PATIENCE)
            except ContextualizationError as error:
                raise ContextualizationError(
                    error.what,
                    "Deploy from the code that it was made from, or make it anew with --recreate.",
                ) from error
            if result is Delivery.NOT_YET:
                self.last_probe = f"port {HTTP_PORT} of {self.address} does not answer"
                return None
            self.handed_over = True
            if result is Delivery.DELIVERED:
                self.progress.note(f"The code was handed over ({len(self.payload):,} bytes).")
        probe = self.service.probe()
        self.last_probe = probe.words
        return probe

    def _read_console(self) -> None:
        if not self.console_works:
            return
        try:
            text = read_console(self.cloud, self.server)
        except CloudError as error:
            if error.status in {403, 404, 409, 501}:
                self.console_works = False
                self.progress.note(f"No console log here, so stages are not told: {error.what}")
            elif error.may_pass:
                self.progress.note(f"Waiting on: {error.what}")
            else:
                raise
            return
        self.marks = console.since_boot(console.marks(text))
        for mark in self.marks:
            self.progress.stage(mark.stage, mark.state, mark.detail)
        self.last_line = console.last_line(text) or self.last_line
        self.progress.console(self.last_line)
        remember_host_keys(self.way.known_hosts, self.address, text)
        self.failure_log = self._log_of_failure(text)

    def _log_of_failure(self, text: str) -> str:
        mark = console.failed(self.marks)
        return console.before_failure(text, mark.stage) if mark else ""

    def _raise_failure(self) -> None:
        mark = console.failed(self.marks)
        if mark is None:
            return
        detail = f": {mark.detail}" if mark.detail else ""
        raise ContextualizationError(
            f"The step {mark.stage!r} failed on the server, {mark.uptime:.0f} s after it "
            f"booted{detail}.",
            f"Look further with: {self.way.words}   (sudo journalctl -u cloud-final -e)\n"
            "Then deploy again with --recreate, or take it away with delete.",
            log=self.failure_log,
        )

    def _check_server(self) -> None:
        now = look_patiently(self.cloud, self.server, self.progress)
        if now.status == "ERROR":
            raise fault(now)
        if now.status in {"SHUTOFF", "DELETED", "PAUSED", "SUSPENDED"}:
            raise ServerError(
                f"The server went {now.status} while it was set up.",
                "Look at its console with `logs`, then run the command again.",
            )

    def _timed_out(self, timeout: float) -> LauncherError:
        seen = console.waiting_for(self.marks) if self.console_works else "no console log to read"
        last = f" Last line of the console: {self.last_line!r}." if self.last_line else ""
        remedy = f"Run the command again to wait on; or look: {self.way.words}"
        if console.is_ready(self.marks):
            remedy = (
                "The server says that it is ready, so something between here and there keeps "
                f"port 5100 shut: check --allow-from, a firewall or the VPN. {remedy}"
            )
        return TimedOut(
            f"No prediction after {timeout:.0f} s. What was missing: {seen}; and {self.last_probe}."
            f"{last}",
            remedy,
        )


def read_console(cloud: Cloud, server: Server, length: int | None = None) -> str:
    """The server's console log."""
    return str(
        cloud.ask(
            "Nova",
            "show the console log",
            lambda: cloud.nova.servers.get_console_output(server.id, length=length),
        )
        or ""
    )


def remember_host_keys(file: Path, address: str, text: str) -> bool:
    """Keep the host keys that the console shows, so that ssh need not trust blindly."""
    keys = console.host_keys(text)
    if not keys:
        return False
    lines = console.known_hosts_lines(address, keys)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.is_file() or file.read_text(encoding="utf-8") != lines:
        file.write_text(lines, encoding="utf-8")
        file.chmod(0o600)
    return True
