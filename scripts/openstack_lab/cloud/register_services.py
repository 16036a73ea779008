"""Creates service users, services and endpoints in Keystone.

A separate program, because Nova's and Neutron's daemons inside the lab wait for it.
"""

from __future__ import annotations

import sys
from typing import Any

from openstack_lab.cloud.connection import as_admin
from openstack_lab.lab import REGION, Choices, Lab, load_secrets
from openstack_lab.layout import Layout
from openstack_lab.settings import from_environment

SERVICES = {
    "glance": ("image", ""),
    "placement": ("placement", ""),
    "nova": ("compute", "/v2.1"),
    "neutron": ("network", ""),
}
INTERFACES = ("public", "internal", "admin")


def register(lab: Lab) -> None:
    """Create what is missing."""
    identity = as_admin(lab).identity
    roles = {role.name: role for role in identity.roles()}
    for name in ("admin", "service", "member", "reader"):
        if name not in roles:
            roles[name] = identity.create_role(name=name)
    project = identity.find_project("service") or identity.create_project(
        name="service", domain_id="default"
    )
    known = {service.type: service for service in identity.services()}
    endpoints = {(e.service_id, e.interface): e for e in identity.endpoints()}
    for name, (kind, path) in SERVICES.items():
        user = identity.find_user(name) or identity.create_user(
            name=name, password=lab.secrets.service, default_project_id=project.id
        )
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(project, user, roles[role])
        service = known.get(kind) or identity.create_service(name=name, type=kind)
        _create_endpoints(identity, service, lab.url(name) + path, endpoints)


def _create_endpoints(
    identity: Any, service: Any, url: str, known: dict[tuple[str, str], Any]
) -> None:
    for interface in INTERFACES:
        if (service.id, interface) not in known:
            identity.create_endpoint(
                service_id=service.id, interface=interface, url=url, region_id=REGION
            )


def main(arguments: list[str]) -> None:
    """`python -m openstack_lab.cloud.register_services FOLDER CACHE NETWORK`."""
    folder, cache, network = arguments
    layout = Layout(from_environment(folder, cache, network, environment={}))
    register(Lab(layout, load_secrets(layout), Choices()))


if __name__ == "__main__":
    main(sys.argv[1:])
