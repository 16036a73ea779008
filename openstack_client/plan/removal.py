"""What a server needs to remove its own deployment: requests, access rules, configuration. Pure.

Keystone matches method and path of each request with the access rules of an application
credential. The rules here name each resource by its id: nothing can be listed, and nothing of
another deployment can be touched. cloud-init/removal/remove.py sends the requests.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from openstack_client.cloud.resources import Group, Port, Server
from openstack_client.plan.inventory import MARK, Inventory

VERSION = re.compile(r"/v\d+(\.\d+)?(/|$)")


@dataclass(frozen=True)
class Endpoints:
    """The URLs of the APIs, as the server reaches them."""

    identity: str
    compute: str
    network: str

    @classmethod
    def of(cls, identity: str, compute: str, network: str) -> Endpoints:
        """The endpoints of a catalog, with the versions that it may leave out."""
        return cls(_versioned(identity, "/v3"), compute.rstrip("/"), _versioned(network, "/v2.0"))


@dataclass(frozen=True)
class Removal:
    """The resources that one server removes, itself last."""

    server: Server
    mine: Inventory
    shelter: str = ""
    """The security group that the port moves to, so that its own can be deleted."""

    @property
    def ports(self) -> tuple[Port, ...]:
        """The ports of the server itself."""
        return tuple(port for port in self.mine.ports if port not in self.other_ports)

    @property
    def other_ports(self) -> tuple[Port, ...]:
        others = set(self.others)
        return tuple(port for port in self.mine.ports if port.server in others)

    @property
    def others(self) -> tuple[str, ...]:
        """The deployment's other servers."""
        return tuple(server.id for server in self.mine.servers if server.id != self.server.id)

    @property
    def groups(self) -> tuple[str, ...]:
        """The security groups to delete. They stay in use without a shelter."""
        return tuple(group.id for group in self.mine.groups) if self.shelter else ()

    @property
    def server_groups(self) -> tuple[str, ...]:
        """The server groups to delete. One that others use too stays, as in `delete`."""
        own = {server.id for server in self.mine.servers}
        return tuple(group.id for group in self.mine.server_groups if own >= set(group.members))

    @property
    def left(self) -> tuple[Group, ...]:
        """The security groups that stay, marked for `reap`."""
        return () if self.shelter else self.mine.groups

    def requests(self) -> list[tuple[str, str, str]]:
        """Every (method, service, path) that the removal sends."""
        found = [("GET", "compute", f"/servers/{self.server.id}")]
        found += [("DELETE", "compute", f"/servers/{self.server.id}")]
        for other in self.others:
            found += [("GET", "compute", f"/servers/{other}")]
            found += [("DELETE", "compute", f"/servers/{other}")]
        found += [("DELETE", "compute", f"/os-keypairs/{pair.name}") for pair in self.mine.keypairs]
        found += [("DELETE", "compute", f"/os-server-groups/{id_}") for id_ in self.server_groups]
        found += [("PUT", "network", f"/ports/{port.id}") for port in self.ports]
        found += [("DELETE", "network", f"/ports/{port.id}") for port in self.mine.ports]
        for address in self.mine.addresses:
            found += [("PUT", "network", f"/floatingips/{address.id}")]
            found += [("DELETE", "network", f"/floatingips/{address.id}")]
        found += [("DELETE", "network", f"/security-groups/{group}") for group in self.groups]
        found += [("PUT", "network", f"/security-groups/{group.id}") for group in self.left]
        return found

    def access_rules(self, endpoints: Endpoints) -> list[dict[str, str]]:
        """The rules of the credential. They allow `requests` and nothing else."""
        return [
            {"service": service, "method": method, "path": whole}
            for method, service, path in self.requests()
            for whole in _paths(getattr(endpoints, service), path)
        ]

    def configuration(self, endpoints: Endpoints) -> dict[str, Any]:
        """What remove.py reads, without the credential."""
        return {
            **dataclasses.asdict(endpoints),
            "server": self.server.id,
            "others": list(self.others),
            "other_ports": [port.id for port in self.other_ports],
            "ports": [{"id": port.id, "mark": _expiring(port.description)} for port in self.ports],
            "addresses": [
                {"id": address.id, "mark": _expiring(address.description)}
                for address in self.mine.addresses
            ],
            "groups": list(self.groups),
            "left": [{"id": group.id, "mark": _expiring(group.description)} for group in self.left],
            "server_groups": list(self.server_groups),
            "shelter": self.shelter,
            "keypairs": [pair.name for pair in self.mine.keypairs],
        }


def _versioned(url: str, version: str) -> str:
    plain = url.rstrip("/")
    return plain if VERSION.search(urlsplit(plain).path) else plain + version


def _paths(endpoint: str, path: str) -> list[str]:
    """How an API sees the path: whole, or without the prefix that a proxy removed."""
    base = urlsplit(endpoint).path
    version = VERSION.search(base)
    bases = [base] + ([base[version.start() :]] if version and version.start() else [])
    return [found + path for found in bases]


def _expiring(description: str) -> str:
    match = MARK.fullmatch(description)
    return f"{match[0]} expiring" if match and not match["expiring"] else description
