"""A separate project in the running lab, so that tests can use up its quotas."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openstack
from openstack.config import OpenStackConfig

QUOTA = {
    "instances": 50,
    "cores": 200,
    "ram": 400 * 1024,
    "key_pairs": 50,
    "floatingip": 50,
    "security_group": 50,
    "security_group_rule": 500,
    "port": 100,
}


@dataclass
class Project:
    """A project with an ordinary user, a private network and a router."""

    admin: Any
    id: str
    name: str
    user: str
    user_id: str
    password: str
    auth_url: str
    subnet: str
    router: str
    network: str
    own: Any = None

    @property
    def env(self) -> dict[str, str]:
        """The variables that its OpenRC file would set."""
        return {
            "OS_AUTH_URL": self.auth_url,
            "OS_USERNAME": self.user,
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": self.name,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_REGION_NAME": "RegionOne",
            "OS_INTERFACE": "public",
            "OS_IDENTITY_API_VERSION": "3",
        }

    @property
    def keypair(self) -> str:
        """The keypair that the launcher creates for a deployment with the default name."""
        return f"stackserve-stackserve-{self.id[:8]}"

    def connection(self) -> Any:
        """A connection as the project's user, created once."""
        if self.own is None:
            self.own = self.connect()
        return self.own

    def connect(self) -> Any:
        """A new connection as the project's user, which a test may break."""
        return openstack.connection.Connection(
            auth={
                "auth_url": self.auth_url,
                "username": self.user,
                "password": self.password,
                "project_name": self.name,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            region_name="RegionOne",
            app_name="tests",
        )

    @contextmanager
    def quota(self, **limits: int) -> Iterator[None]:
        """Set other quotas temporarily; the names are those of Nova and Neutron."""
        nova = {"instances", "cores", "ram", "key_pairs"}
        self._set({key: value for key, value in limits.items() if key in nova}, True)
        self._set({key: value for key, value in limits.items() if key not in nova}, False)
        try:
            yield
        finally:
            self._set({key: QUOTA[key] for key in limits if key in nova}, True)
            self._set({key: QUOTA[key] for key in limits if key not in nova}, False)

    def _set(self, limits: dict[str, int], compute: bool) -> None:
        if limits and compute:
            self.admin.compute.update_quota_set(self.id, **limits)
        elif limits:
            self.admin.network.update_quota(self.id, **limits)

    def leftovers(self) -> list[str]:
        """Everything in the project except its network, which tests must delete."""
        own = self.connection()
        found = [f"server {server.name} {server.status}" for server in own.compute.servers()]
        found += [f"keypair {pair.name}" for pair in own.compute.keypairs()]
        found += [f"floating IP {ip.floating_ip_address}" for ip in own.network.ips()]
        found += [
            f"group {group.name}"
            for group in own.network.security_groups(project_id=self.id)
            if group.name != "default"
        ]
        found += [
            f"port {port.name or port.id}"
            for port in own.network.ports(project_id=self.id)
            if not port.device_owner.startswith("network:")
        ]
        identity = own.identity
        found += [
            f"application credential {one.name}"
            for one in identity.application_credentials(self.user_id)
        ]
        found += [f"access rule {rule.path}" for rule in identity.access_rules(self.user_id)]
        found += [f"server group {group.name}" for group in own.compute.server_groups()]
        return found


def administrator(clouds_file: Path) -> Any:
    """A connection as the lab's administrator."""
    config = OpenStackConfig(config_files=[str(clouds_file)], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one("lab-admin"))


@contextmanager
def project(clouds_file: Path) -> Iterator[Project]:
    """Create a project on the fake hypervisor; delete it with its resources at the end."""
    admin = administrator(clouds_file)
    network, identity = admin.network, admin.identity
    tag = secrets.token_hex(3)
    name, password = f"launcher-{tag}", secrets.token_urlsafe(12)
    with ExitStack() as undo:
        made = identity.create_project(name=name, domain_id="default")
        undo.callback(identity.delete_project, made)
        user = identity.create_user(
            name=f"user-{tag}", password=password, domain_id="default", default_project_id=made.id
        )
        undo.callback(identity.delete_user, user)
        identity.assign_project_role_to_user(made, user, identity.find_role("member"))
        undo.callback(_delete_groups, network, made.id)
        _serve_by_fake(admin, made.id, name, undo)
        private = network.create_network(name="private", project_id=made.id)
        undo.callback(network.delete_network, private)
        subnet = network.create_subnet(
            network_id=private.id,
            name="private-subnet",
            ip_version=4,
            project_id=made.id,
            cidr="10.77.0.0/24",
            is_dhcp_enabled=False,
        )
        router = network.create_router(
            name="router",
            project_id=made.id,
            external_gateway_info={"network_id": network.find_network("public").id},
        )
        undo.callback(network.delete_router, router)
        network.add_interface_to_router(router, subnet_id=subnet.id)
        undo.callback(network.remove_interface_from_router, router, subnet_id=subnet.id)
        project = Project(
            admin,
            made.id,
            name,
            user.name,
            user.id,
            password,
            admin.config.config["auth"]["auth_url"],
            subnet.id,
            router.id,
            private.id,
        )
        undo.callback(empty, project)
        yield project


def _delete_groups(network: Any, project_id: str) -> None:
    for group in network.security_groups(project_id=project_id):
        network.delete_security_group(group)


def _serve_by_fake(admin: Any, project_id: str, name: str, undo: ExitStack) -> None:
    """Let this project's servers run on the fake host, without changing other projects."""
    compute = admin.compute
    hosts = {service.host for service in compute.services(binary="nova-compute")}
    aggregate = compute.create_aggregate(name=name)
    undo.callback(compute.delete_aggregate, aggregate)
    for host in (host for host in hosts if "fake" in host):
        compute.add_host_to_aggregate(aggregate, host)
        undo.callback(compute.remove_host_from_aggregate, aggregate, host)
    compute.set_aggregate_metadata(aggregate, {"filter_tenant_id": project_id})


def empty(project: Project) -> None:
    """Delete everything except the network."""
    own = project.connection()
    servers = list(own.compute.servers())
    for server in servers:
        own.compute.delete_server(server)
    for server in servers:
        own.compute.wait_for_delete(server, interval=0.3, wait=60)
    for address in own.network.ips():
        own.network.delete_ip(address)
    for port in own.network.ports(project_id=project.id):
        if not port.device_owner.startswith("network:"):
            own.network.delete_port(port)
    for pair in own.compute.keypairs():
        own.compute.delete_keypair(pair)
    for group in own.network.security_groups(project_id=project.id):
        if group.name != "default":
            own.network.delete_security_group(group)
    for server_group in own.compute.server_groups():
        own.compute.delete_server_group(server_group)
