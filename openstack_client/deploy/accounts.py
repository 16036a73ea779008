"""The accounts of worker VMs on the front end, managed by its program `stackserve-workers`."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openstack_client.errors import ContextualizationError, ServerError
from openstack_client.plan.load import Load, parse
from openstack_client.watch.ssh import QUIET, SshTarget, failure

PROGRAM = "sudo -n /usr/local/sbin/stackserve-workers"
# Longer than the front end waits for RabbitMQ, so that its own reason arrives.
TIMEOUT = 330.0
# It asks no slow program, and workers that do not answer cost it 8 s.
LOAD_TIMEOUT = 60.0
# A worker may hold a chunk of a job that takes minutes.
DRAIN_TIMEOUT = 600


@dataclass(frozen=True)
class Accounts:
    """The front end, as the one that knows its worker VMs."""

    front: SshTarget
    processes: int | None = None
    """The number of worker processes on each, if it was chosen."""
    timeout: float = TIMEOUT
    """For what needs no waiting for workers."""

    def add(self, names: Sequence[str]) -> dict[str, bytes]:
        """Tickets for these worker VMs: where the broker is, and new passwords. Never logged."""
        more = ["--processes", str(self.processes)] if self.processes else []
        tickets = self._run("add", *names, *more).splitlines(keepends=True)
        if len(tickets) != len(names):
            raise ContextualizationError(
                f"`stackserve-workers add` printed {len(tickets)} tickets instead of {len(names)}.",
                "The front end's code is older or newer than this verb.",
            )
        return dict(zip(names, tickets, strict=True))

    def remove(self, name: str) -> None:
        """Delete the account, if there is one, and close its connections."""
        self._run("remove", name)

    def drain(self, name: str) -> None:
        """Give this worker VM no more tasks, and wait until it has answered those it holds."""
        timeout = str(DRAIN_TIMEOUT)
        self._run("drain", name, "--timeout", timeout, timeout=DRAIN_TIMEOUT + TIMEOUT)

    def connected(self) -> frozenset[str]:
        """The worker VMs that are connected to the broker."""
        return frozenset(name for name, row in self.listed().items() if row.get("connected"))

    def listed(self) -> dict[str, dict[str, Any]]:
        """What the front end knows of each worker VM, by name."""
        listed = self._run("list")
        try:
            return {str(row["name"]): dict(row) for row in json.loads(listed or b"[]")}
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ContextualizationError(
                f"`stackserve-workers list` printed no list of workers: {error}.",
                "Its code is older than this verb.",
            ) from error

    def load(self) -> Load:
        """How much there is to do, and how busy the workers are."""
        printed = self._run("load", timeout=LOAD_TIMEOUT)
        try:
            return parse(printed)
        except ValueError as error:
            raise ContextualizationError(
                f"`stackserve-workers load` printed no figures: {error}.",
                "The front end's code is older or newer than this verb.",
            ) from error

    def _run(self, *words: str, timeout: float | None = None) -> bytes:
        timeout = timeout or self.timeout
        command = f"{PROGRAM} {shlex.join(words)}"
        try:
            done = subprocess.run(
                self.front.command(command, options=QUIET),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServerError(
                f"`stackserve-workers {words[0]}` did not end in {timeout:g} s on the front end.",
                "Try again when the front end is less busy.",
            ) from None
        except OSError as error:
            raise ServerError(
                f"`stackserve-workers {words[0]}` on the front end failed: {error}.",
                "Try `ssh`, which uses the same key and host key.",
            ) from error
        if done.returncode == 0:
            return done.stdout
        why = failure(done.stderr)
        if done.returncode == 255:
            raise ServerError(
                f"The ssh connection to {self.front.address} failed: {why}.",
                "Try `ssh`, which uses the same key and host key.",
            )
        raise ContextualizationError(
            f"`stackserve-workers {words[0]}` failed on the front end: {why}.",
            "Run `logs` or `ssh` to find out more.",
        )


@dataclass
class Tickets:
    """The tickets of worker VMs that join at the same time.

    One command makes those of all new ones, when the first of them needs its own: on a small front
    end, each command takes seconds from the service that starts there.
    """

    accounts: Accounts
    new: Sequence[str] = ()
    _made: dict[str, bytes] = field(default_factory=dict, repr=False)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def get(self, name: str) -> bytes:
        with self._turn:
            if name not in self._made:
                wanted = {name, *self.new} - self._made.keys()
                self._made |= self.accounts.add(sorted(wanted))
            return self._made[name]
