"""One deploy of a name at a time, told by tags on the deployment's port.

OpenStack has no lock. A run first says that it wants the deployment, waits until any other
run that began at the same moment can be seen, and then one of them wins and says that it
holds it: the one that made the port, for it takes its port away when it loses, and of
several the lowest. A holder renews its tag, so a killed run is forgotten after STALE seconds.
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
STALE_WISH = 30.0


@dataclass(frozen=True)
class Claim:
    """A run's word on a deployment, as a tag says it; `maker` if the run made the port."""

    state: str
    run: str
    at: int
    maker: bool = False

    @property
    def rank(self) -> tuple[bool, str]:
        return not self.maker, self.run

    @property
    def tag(self) -> str:
        return f"stackserve-{self.state}-{self.run}-{self.at}"

    def counts(self, now: float) -> bool:
        return now - self.at < (STALE if self.state == "holds" else STALE_WISH)


def claims(port: Port) -> list[Claim]:
    """The claims among a port's tags."""
    matches = [TAG.fullmatch(tag) for tag in port.tags]
    maker = marked_run(port.description)
    return [Claim(m["state"], m["run"], int(m["at"]), maker == m["run"]) for m in matches if m]


def rival(run: str, present: Sequence[Claim], now: float) -> Claim | None:
    """The other run that goes first, or None when this one may go on."""
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
    wait = int((STALE if claim.state == "holds" else STALE_WISH) - age)
    return Busy(
        f"Another deploy of {name!r} is under way (last heard of {age} s ago).",
        f"Wait for it; if it was killed, its claim ends in {wait} s, or at once with --take-over.",
    )


class Lease:
    """This run's claim on a deployment."""

    def __init__(
        self, cloud: Cloud, name: str, run: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.cloud = cloud
        self.name = name
        self.run = run
        self.sleep = sleep
        self.port: str | None = None
        self.mine: Claim | None = None
        self.wished = 0.0
        self.not_before = 0.0

    def wish(self, port_id: str) -> None:
        """Say that this run wants the deployment."""
        self.port = port_id
        self._put("wants")
        self.wished = time.monotonic()

    def hold(self, take_over: bool = False) -> None:
        """Become the one that deploys, or raise Busy."""
        self.sleep(max(0.0, SETTLE - (time.monotonic() - self.wished)))
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
        """Keep the claim fresh; cheap when it still is."""
        if not self.mine or time.time() - self.mine.at < RENEW or time.time() < self.not_before:
            return
        try:
            self._put("holds")
        except CloudError as error:
            # The deploy itself goes on; without this tag a second one might start, no more.
            if not error.may_pass:
                raise
            self.not_before = time.time() + RENEW

    def release(self) -> None:
        """Give it up; harmless when the port is gone."""
        if self.mine:
            self._remove(self.mine)
            self.mine = None

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
        # When this fails, the claim ends by its age.
        with contextlib.suppress(CloudError):
            self._call("delete", claim)

    def _call(self, verb: str, claim: Claim) -> None:
        network = self.cloud.connection.network
        path = f"/ports/{self.port}/tags/{claim.tag}"
        self.cloud.ask(
            "Neutron",
            "note that this deploy is under way",
            # A port that is gone, or a tag that is gone, needs no more removing.
            lambda: network.request(path, verb.upper(), raise_exc=verb == "put"),
        )


def held_by_another(name: str, ports: Iterable[Port], now: float) -> Claim | None:
    """The live claim of a deploy under way, if there is one."""
    present = [
        claim for port in ports if marked_name(port.description) == name for claim in claims(port)
    ]
    return next((claim for claim in present if claim.counts(now)), None)
