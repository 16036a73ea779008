"""Allow one deploy of a name at a time, using tags on the deployment's port as a lock.

OpenStack has no locks. A run first tags the port to request the lease, then waits until other
runs that started at the same moment are visible. The run that created the port wins, since it
would delete the port if it lost; otherwise the one with the lowest id. The holder renews its
tag, so the lease of a killed run expires after STALE seconds.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Port
from openstack_client.errors import Busy, CloudError
from openstack_client.plan.inventory import marked_name, marked_run

TAG = re.compile(r"stackserve-(?P<state>wants|holds)-(?P<run>[0-9a-f]+)-(?P<at>\d+)")
SETTLE = 1.5
RENEW = 30.0
STALE = 120.0
STALE_REQUEST = 30.0


@dataclass(frozen=True)
class Claim:
    """A run's claim on a deployment, stored as a tag. `created_port`: this run created the port."""

    state: str
    run: str
    at: int
    created_port: bool = False

    @property
    def rank(self) -> tuple[bool, str]:
        return not self.created_port, self.run

    @property
    def tag(self) -> str:
        return f"stackserve-{self.state}-{self.run}-{self.at}"

    def counts(self, now: float) -> bool:
        return now - self.at < (STALE if self.state == "holds" else STALE_REQUEST)


def claims(port: Port) -> list[Claim]:
    """The claims in a port's tags."""
    matches = [TAG.fullmatch(tag) for tag in port.tags]
    created_port = marked_run(port.description)
    return [
        Claim(m["state"], m["run"], int(m["at"]), created_port == m["run"]) for m in matches if m
    ]


def rival(run: str, present: Sequence[Claim], now: float) -> Claim | None:
    """The run that has precedence, or None if this one may continue."""
    others = [claim for claim in present if claim.run != run and claim.counts(now)]
    holder = next((claim for claim in others if claim.state == "holds"), None)
    if holder:
        return holder
    own = next((claim for claim in present if claim.run == run), None)
    rank = own.rank if own else (True, run)
    before = [claim for claim in others if claim.rank < rank]
    return min(before, key=lambda claim: claim.rank) if before else None


def busy(name: str, claim: Claim, now: float) -> Busy:
    age = max(0, int(now - claim.at))
    wait = int((STALE if claim.state == "holds" else STALE_REQUEST) - age)
    return Busy(
        f"Another deploy of {name!r} is running (last seen {age} s ago).",
        f"Wait for it. If it was killed, its lease expires in {wait} s; --take-over ends it now.",
    )


class TakenOver(Busy, exit_code=9, code="busy"):
    """Another run has ended this one's lease, and goes on with what it has created."""


class Lease:
    """This run's lease on a deployment."""

    def __init__(
        self, cloud: Cloud, name: str, run: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.cloud = cloud
        self.name = name
        self.run = run
        self.sleep = sleep
        self.port: str | None = None
        self.mine: Claim | None = None
        self.requested_at = 0.0
        self.not_before = 0.0

    def request(self, port_id: str) -> None:
        """Request the lease."""
        self.port = port_id
        self._put("wants")
        self.requested_at = time.monotonic()

    def acquire(self, take_over: bool = False) -> None:
        """Acquire the lease, or raise Busy."""
        self.sleep(max(0.0, SETTLE - (time.monotonic() - self.requested_at)))
        present = self._present()
        first = rival(self.run, present, time.time())
        if first and not (take_over and first.state == "holds"):
            self.release()
            raise busy(self.name, first, time.time())
        if take_over:
            for claim in present:
                if claim.run != self.run:
                    self._remove(claim)
        self._put("holds")

    def renew(self) -> None:
        """Renew the lease if it is due."""
        if not self.mine or time.time() - self.mine.at < RENEW or time.time() < self.not_before:
            return
        try:
            self.check()
            self._put("holds")
        except CloudError as error:
            # Continue: at worst, a second deploy could start meanwhile.
            if not error.is_temporary:
                raise
            self.not_before = time.time() + RENEW

    def release(self) -> None:
        """Release the lease. Works even if the port is deleted."""
        if self.mine:
            self._remove(self.mine)
            self.mine = None

    def check(self) -> None:
        """Raise TakenOver if another run has ended this lease."""
        if not self.mine or self.mine.state != "holds":
            return
        present = self._present()
        other = rival(self.run, present, time.time())
        if other and other.state == "holds" and all(claim.run != self.run for claim in present):
            self.mine = None
            raise TakenOver(
                f"Another run has taken over the deployment {self.name!r}, so this one stops.",
                "Everything stays as it is: the other run goes on from there.",
            )

    def _present(self) -> list[Claim]:
        ports = [p for p in queries.ports(self.cloud) if marked_name(p.description) == self.name]
        return [claim for port in ports for claim in claims(port)]

    def _put(self, state: str) -> None:
        old, new = self.mine, Claim(state, self.run, int(time.time()))
        self._call("put", new)
        self.mine = new
        if old and old.tag != new.tag:
            self._remove(old)

    def _remove(self, claim: Claim) -> None:
        # If this fails, the claim expires.
        with contextlib.suppress(CloudError):
            self._call("delete", claim)

    def _call(self, verb: str, claim: Claim) -> None:
        network = self.cloud.connection.network
        path = f"/ports/{self.port}/tags/{claim.tag}"
        self.cloud.request(
            "Neutron",
            "tag the port as in use",
            # Ignore a deleted port or tag.
            lambda: network.request(path, verb.upper(), raise_exc=verb == "put"),
        )


def held_by_another(name: str, ports: Iterable[Port], now: float) -> Claim | None:
    """The claim of a running deploy, if there is one."""
    present = [
        claim for port in ports if marked_name(port.description) == name for claim in claims(port)
    ]
    return next((claim for claim in present if claim.counts(now)), None)
