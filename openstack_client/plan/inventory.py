"""What belongs to a deployment, found on the cloud's own resources: there is no state file.

Servers say it in their metadata; security groups, ports and floating IPs in their
description, which is given in the request that makes them, so that nothing is ever without
its mark; the keypair by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Address, Group, Keypair, Port, Server
from openstack_client.plan.keypair import keypair_name

MARK = re.compile(r"stackserve deployment (?P<name>[a-z0-9-]+) run (?P<run>[0-9a-f]+)")
NAME_KEY = "stackserve_deployment"
ROLE_KEY = "stackserve_role"
CODE_KEY = "stackserve_code"
DATA_KEY = "stackserve_userdata"
USER_KEY = "stackserve_ssh_user"
RUN_KEY = "stackserve_run"


def mark(name: str, run: str) -> str:
    """The description of what this run of the launcher makes for the deployment."""
    return f"stackserve deployment {name} run {run}"


def marked_name(description: str) -> str | None:
    match = MARK.fullmatch(description)
    return match["name"] if match else None


def marked_run(description: str) -> str | None:
    match = MARK.fullmatch(description)
    return match["run"] if match else None


@dataclass(frozen=True)
class Inventory:
    """The resources of one deployment."""

    name: str
    servers: tuple[Server, ...] = ()
    groups: tuple[Group, ...] = ()
    ports: tuple[Port, ...] = ()
    addresses: tuple[Address, ...] = ()
    keypairs: tuple[Keypair, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.ids

    @property
    def ids(self) -> frozenset[str]:
        kinds: tuple[Iterable[Server | Group | Port | Address | Keypair], ...] = (
            self.servers,
            self.groups,
            self.ports,
            self.addresses,
            self.keypairs,
        )
        return frozenset(thing.id for kind in kinds for thing in kind)

    def made_by(self, run: str) -> Inventory:
        """The share that one run of the launcher made; the keypair never says, so never."""
        return Inventory(
            self.name,
            tuple(thing for thing in self.servers if thing.metadata.get(RUN_KEY) == run),
            tuple(thing for thing in self.groups if marked_run(thing.description) == run),
            tuple(thing for thing in self.ports if marked_run(thing.description) == run),
            tuple(thing for thing in self.addresses if marked_run(thing.description) == run),
        )

    def address_of(self, server: Server) -> str:
        """The address that people use: the floating IP of the server's port, else its own."""
        own = {port.id for port in self.ports if port.server == server.id}
        for floating in self.addresses:
            if floating.port in own or floating.address in server.addresses:
                return floating.address
        return server.addresses[-1] if server.addresses else ""

    def lines(self) -> list[tuple[str, str, str]]:
        """(kind, name, id) of everything, in the order of deletion."""
        found = [("server", server.name, server.id) for server in self.servers]
        found += [
            ("volume", f"root disk of {server.name}", volume)
            for server in self.servers
            for volume in server.volumes
        ]
        found += [("floating IP", address.address, address.id) for address in self.addresses]
        found += [("port", port.address or port.name, port.id) for port in self.ports]
        found += [("security group", group.name, group.id) for group in self.groups]
        found += [("keypair", pair.name, pair.id) for pair in self.keypairs]
        return found


def pick(
    name: str,
    project_id: str,
    *,
    servers: Iterable[Server],
    groups: Iterable[Group],
    ports: Iterable[Port],
    addresses: Iterable[Address],
    keypairs: Iterable[Keypair],
) -> Inventory:
    """The deployment's share of all that the project has."""
    return Inventory(
        name,
        tuple(thing for thing in servers if thing.metadata.get(NAME_KEY) == name),
        tuple(thing for thing in groups if marked_name(thing.description) == name),
        tuple(thing for thing in ports if marked_name(thing.description) == name),
        tuple(thing for thing in addresses if marked_name(thing.description) == name),
        tuple(thing for thing in keypairs if thing.name == keypair_name(name, project_id)),
    )


def keypair_of_another(mine: Inventory, identity: Identity) -> str:
    """Keypairs belong to users, not to the project: what only the server's maker can remove."""
    made = keypair_name(mine.name, identity.project_id)
    for server in mine.servers:
        if server.key_name == made and server.user not in {"", identity.user_id}:
            return (
                f"Keypair {server.key_name!r} stays: it belongs to the user who made the server "
                f"({server.user}), and only they can remove it: "
                f"openstack keypair delete {server.key_name}"
            )
    return ""


def deployment_names(
    servers: Iterable[Server],
    groups: Iterable[Group],
    ports: Iterable[Port],
    addresses: Iterable[Address],
) -> list[str]:
    """All deployments that have anything in the project."""
    names = {server.metadata.get(NAME_KEY) for server in servers}
    kinds: tuple[Iterable[Group | Port | Address], ...] = (groups, ports, addresses)
    names |= {marked_name(thing.description) for kind in kinds for thing in kind}
    return sorted(name for name in names if name)


def metadata(
    name: str, *, run: str, code: str, data: str, user: str, role: str = "server"
) -> Mapping[str, str]:
    """What a server says about itself."""
    return {
        NAME_KEY: name,
        ROLE_KEY: role,
        CODE_KEY: code,
        DATA_KEY: data,
        USER_KEY: user,
        RUN_KEY: run,
    }
