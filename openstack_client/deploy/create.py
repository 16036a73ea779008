"""Create a deployment's resources, one request each, each with a mark to find it by.

Each of these requests is shielded from Ctrl-C, and before a retry checks whether the first
attempt succeeded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from openstack_client import lifetime
from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Address, Group, Port, Rule, Server
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.errors import ServerError
from openstack_client.names import resource_name
from openstack_client.plan import expiry, inventory, keypair, security_group
from openstack_client.plan.model import Plan
from openstack_client.settings import Settings

Marked = TypeVar("Marked", Group, Port, Address)


@dataclass
class Creator:
    """Creates a plan's resources for one run of the launcher."""

    cloud: Cloud
    settings: Settings
    plan: Plan
    run: str
    interrupts: Interrupts
    created_keypair: bool = False

    def __post_init__(self) -> None:
        self.description = inventory.mark(self.plan.name, self.run)
        self.label = resource_name(self.plan.name)

    def port(self) -> Port:
        """The server's port, without a security group yet."""
        if self.plan.port:
            return self.plan.port
        assert self.plan.network is not None, "a plan without problems has a network"
        arguments = {
            "name": self.label,
            "network_id": self.plan.network.id,
            "description": self.description,
        }
        network = self.cloud.connection.network
        with self.interrupts.shield():
            return self.cloud.create(
                "Neutron",
                f"create a port on network {self.plan.network.name!r}",
                lambda: queries.port_of(network.create_port(**arguments)),
                lambda: self._own(queries.ports(self.cloud)),
            )

    def group(self) -> Group:
        """The security group, with exactly the requested rules."""
        group = self.plan.group
        if self.plan.group_given and group:
            return group
        network = self.cloud.connection.network
        if group is None:
            arguments = {"name": self.label, "description": self.description}
            with self.interrupts.shield():
                group = self.cloud.create(
                    "Neutron",
                    "create the security group",
                    lambda: queries.group_of(network.create_security_group(**arguments)),
                    lambda: self._own(queries.groups(self.cloud)),
                )
        for rule in self.plan.add_rules:
            self._add_rule(group, rule)
        for rule in self.plan.drop_rules:
            self.cloud.request(
                "Neutron",
                f"delete the rule for port {rule.port or 'any'}",
                partial(network.delete_security_group_rule, rule.id, ignore_missing=True),
            )
        return group

    def apply_group(self, port: Port, group: Group) -> None:
        """Apply the security group to the port."""
        network = self.cloud.connection.network
        self.cloud.request(
            "Neutron",
            "apply the security group",
            lambda: network.update_port(port.id, security_group_ids=[group.id]),
        )

    def keypair(self) -> None:
        """Create the keypair in Nova, generating a private key if needed."""
        key = self.plan.key
        if key is None or not key.create:
            return
        public = key.public
        if key.generate and key.private:
            public = keypair.generate(key.private)
        with self.interrupts.shield():
            self.cloud.create(
                "Nova",
                f"create the keypair {key.keypair!r}",
                lambda: self.cloud.nova.keypairs.create(key.keypair, public_key=public),
                lambda: self._existing_keypair(key.keypair, public),
            )
            self.created_keypair = True

    def address(self, port: Port) -> Address | None:
        """The floating IP, on the server's port."""
        if not self.plan.floating:
            return None
        network = self.cloud.connection.network
        if self.plan.address:
            address = self.plan.address
            if address.port != port.id:
                self.cloud.request(
                    "Neutron",
                    f"assign {address.address} to the server",
                    lambda: network.update_ip(address.id, port_id=port.id),
                )
            return address
        assert self.plan.external is not None, "a plan without problems has an external network"
        arguments = {
            "floating_network_id": self.plan.external.id,
            "port_id": port.id,
            "description": self.description,
        }
        with self.interrupts.shield():
            return self.cloud.create(
                "Neutron",
                f"create a floating IP from {self.plan.external.name!r}",
                lambda: queries.address_of(network.create_ip(**arguments)),
                lambda: self._own(queries.addresses(self.cloud)),
            )

    def server(self, port: Port) -> Server:
        """Request the server from Nova. Returns before it is built."""
        arguments = self.server_arguments(port)
        with self.interrupts.shield():
            created = self.cloud.create(
                "Nova",
                "create the server",
                lambda: self.cloud.nova.servers.create(**arguments),
                self._own_server,
            )
        return created if isinstance(created, Server) else Server(created.id, self.label, "BUILD")

    def start(self, server: Server) -> None:
        """Start a stopped server."""
        self.cloud.request(
            "Nova", "start the server", lambda: self.cloud.nova.servers.start(server.id)
        )

    def server_arguments(self, port: Port) -> dict[str, Any]:
        """The arguments of novaclient's `servers.create`."""
        plan = self.plan
        if not (plan.image and plan.flavor and plan.parcel and plan.key):
            raise ServerError("Cannot create a server from an incomplete plan.")
        arguments: dict[str, Any] = {
            "name": self.label,
            "image": plan.image.id,
            "flavor": plan.flavor.id,
            "nics": [{"port-id": port.id}],
            "key_name": plan.key.keypair,
            "userdata": plan.parcel.data,
            "config_drive": True,
            "meta": {
                **inventory.metadata(
                    plan.name,
                    run=self.run,
                    code=plan.parcel.code_hash,
                    data=plan.parcel.digest,
                    user=plan.ssh_user,
                    watched=plan.role.watched,
                ),
                **expiry.metadata(self.settings, plan.server, lifetime.now()),
            },
        }
        if plan.zone:
            arguments["availability_zone"] = plan.zone
        if self.settings.volume_size:
            arguments["image"] = None
            arguments["block_device_mapping_v2"] = [
                {
                    "boot_index": 0,
                    "uuid": plan.image.id,
                    "source_type": "image",
                    "destination_type": "volume",
                    "volume_size": self.settings.volume_size,
                    "delete_on_termination": True,
                }
            ]
        return arguments

    def _add_rule(self, group: Group, rule: Rule) -> None:
        network = self.cloud.connection.network

        def create() -> Any:
            return network.create_security_group_rule(
                security_group_id=group.id,
                direction="ingress",
                protocol="tcp",
                port_range_min=rule.port,
                port_range_max=rule.port,
                remote_ip_prefix=rule.cidr,
                ether_type=security_group.ether_type(rule.cidr),
            )

        def find() -> Rule | None:
            groups = [entry for entry in queries.groups(self.cloud) if entry.id == group.id]
            rules = groups[0].rules if groups else ()
            same = [have for have in rules if (have.port, have.cidr) == (rule.port, rule.cidr)]
            return same[0] if same else None

        self.cloud.create(
            "Neutron", f"allow {rule.cidr} to connect to port {rule.port}", create, find
        )

    def _existing_keypair(self, name: str, public: str) -> object | None:
        same = [pair for pair in queries.keypairs(self.cloud) if pair.name == name]
        return (
            same[0] if same and keypair.body(same[0].public_key) == keypair.body(public) else None
        )

    def _own_server(self) -> Server | None:
        for server in queries.servers(self.cloud):
            if server.metadata.get(inventory.RUN_KEY) == self.run:
                return server
        return None

    def _own(self, resources: Iterable[Marked]) -> Marked | None:
        return next(
            (resource for resource in resources if resource.description == self.description), None
        )
