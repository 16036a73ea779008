"""The external network with its floating IPs, and a private network per project."""

from __future__ import annotations

from typing import Any

from openstack_lab.lab import Lab
from openstack_lab.settings import PRIVATE_NETWORK

EXTERNAL = "public"
PRIVATE = "private"
ROUTER = "router"


def create_external(admin: Any, lab: Lab) -> None:
    network = admin.network
    external = network.find_network(EXTERNAL) or network.create_network(
        name=EXTERNAL,
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="public",
    )
    if not external.subnet_ids:
        pool = lab.settings.external
        network.create_subnet(
            network_id=external.id,
            name="public-subnet",
            ip_version=4,
            cidr=str(pool),
            gateway_ip=str(lab.settings.gateway),
            is_dhcp_enabled=False,
            allocation_pools=[{"start": str(pool[10]), "end": str(pool[250])}],
        )


def create_private(admin: Any, project_id: str) -> None:
    """A network with a subnet and a router to the external network, owned by the project."""
    network = admin.network
    private = network.find_network(PRIVATE, project_id=project_id) or network.create_network(
        name=PRIVATE, project_id=project_id
    )
    subnet = next(iter(network.subnets(network_id=private.id)), None) or network.create_subnet(
        network_id=private.id,
        name="private-subnet",
        ip_version=4,
        project_id=project_id,
        cidr=str(PRIVATE_NETWORK),
    )
    external = network.find_network(EXTERNAL)
    router = network.find_router(ROUTER, project_id=project_id) or network.create_router(
        name=ROUTER,
        project_id=project_id,
        external_gateway_info={"network_id": external.id},
    )
    if not list(network.ports(device_id=router.id, network_id=private.id)):
        network.add_interface_to_router(router, subnet_id=subnet.id)
