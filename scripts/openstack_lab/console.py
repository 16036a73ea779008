"""Finds the console log of a real guest."""

from __future__ import annotations

from pathlib import Path

from openstack_lab.cloud.connection import as_admin
from openstack_lab.errors import LabError
from openstack_lab.lab import Choices, Lab, load_secrets
from openstack_lab.layout import Layout


def log_of(layout: Layout, server: str) -> Path:
    """The console log of a server, found by name or id in any project."""
    admin = as_admin(Lab(layout, load_secrets(layout), Choices()))
    servers = [s for s in admin.compute.servers(all_projects=True) if server in (s.name, s.id)]
    if not servers:
        raise LabError(f"There is no server '{server}'.", "List the servers: openstack server list")
    path = layout.data("nova") / "instances" / str(servers[0].id) / "console.log"
    if not path.exists():
        raise LabError(
            f"Server '{server}' has no console.",
            "It has not started, or runs on the fake hypervisor.",
        )
    return path
