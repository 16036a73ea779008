"""What a deploy ends with, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openstack_client.cloud.own_address import addresses_of
from openstack_client.deploy.time_to_live import TimeToLive
from openstack_client.plan.secured import Secured, name_note
from openstack_client.roles import TlsKind, Watched
from openstack_client.service import page_url
from openstack_client.watch.shown import validity
from openstack_client.watch.status import drift
from openstack_client.watch.tunnel import Way


@dataclass(frozen=True)
class Certified:
    """What clients must know of a server with TLS."""

    authority: Path | None = None
    """The file with the server's own authority, if it has one."""
    certificate: str = ""
    name: str = ""
    """The name under which clients accept it, if a public authority has issued the certificate."""
    problem: str = ""
    """What is missing for that."""


def certified(secured: Secured, way: Way, address: str, authority: Path | None) -> Certified:
    """Look at the certificates of a server that is ready."""
    seen, domain = validity(way, secured.domain), secured.domain
    own = None if secured.kind is TlsKind.FILES else authority
    if seen is None or seen.issued:
        return Certified(own, seen.sentence if seen else "", domain if seen else "")
    problem = name_note(domain, addresses_of(domain), address) or (
        f"The server asks for the certificate of {domain} until it gets it, less and less often. "
        "`logs --unit proxy` says why it has none."
    )
    return Certified(own, seen.sentence, "", problem)


@dataclass
class Result:
    """The result of a deploy."""

    name: str
    address: str
    server: str
    ready: bool
    ssh: str
    watched: Watched
    prediction: str = ""
    model: str = ""
    version: str = ""
    seconds: float = 0.0
    stages: list[dict[str, Any]] = field(default_factory=list)
    workers: list[dict[str, Any]] = field(default_factory=list)
    code_deployed: str = ""
    code_on_disk: str = ""
    redirect: str = ""
    """What to register with the identity provider, if people sign in with one."""
    tls: Certified | None = None
    lifetime: TimeToLive = field(default_factory=TimeToLive)

    @property
    def drift(self) -> str:
        return drift(self.code_on_disk, self.code_deployed)

    @property
    def authority(self) -> Path | None:
        return self.tls.authority if self.tls else None

    @property
    def url(self) -> str:
        return page_url(self.watched, (self.tls and self.tls.name) or self.address)

    @property
    def has(self) -> str:
        """What a server has that is not ready yet, in words."""
        return "has its code" if "code" in self.watched.stages else "is ACTIVE"

    def as_json(self) -> dict[str, Any]:
        return {
            "event": "result",
            "name": self.name,
            "role": self.watched.role,
            "address": self.address,
            "url": self.url,
            "redirect": self.redirect or None,
            "authority": str(self.authority) if self.authority else None,
            "certificate": self.tls and self.tls.certificate,
            "certificate_problem": (self.tls and self.tls.problem) or None,
            "server": self.server,
            "ready": self.ready,
            "prediction": self.prediction,
            "model": self.model,
            "version": self.version,
            "code_deployed": self.code_deployed,
            "code_on_disk": self.code_on_disk,
            "drift": self.drift,
            "ssh": self.ssh,
            "expires": self.lifetime.expires or None,
            "removes_itself": self.lifetime.removes_itself,
            "removal_problem": self.lifetime.problem or None,
            "seconds": round(self.seconds, 1),
            "stages": self.stages,
            "workers": self.workers,
        }
