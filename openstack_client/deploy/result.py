"""What a deploy ends with, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openstack_client.deploy.time_to_live import TimeToLive
from openstack_client.roles import Watched
from openstack_client.service import page_url
from openstack_client.watch.status import drift


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
    authority: Path | None = None
    """The file with its certificate authority, with TLS."""
    redirect: str = ""
    """What to register with the identity provider, if people sign in with one."""
    lifetime: TimeToLive = field(default_factory=TimeToLive)

    @property
    def drift(self) -> str:
        return drift(self.code_on_disk, self.code_deployed)

    @property
    def url(self) -> str:
        return page_url(self.watched, self.address)

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
