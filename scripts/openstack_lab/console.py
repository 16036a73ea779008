"""Where the console of a real guest is written."""

from __future__ import annotations

from pathlib import Path

from openstack_lab.cloud.connection import as_admin
from openstack_lab.errors import LabError
from openstack_lab.lab import Choices, Lab, load_secrets
from openstack_lab.layout import Layout


def file_of(layout: Layout, server: str) -> Path:
    """The console file of a server, found by name or id in any project."""
    admin = as_admin(Lab(layout, load_secrets(layout), Choices()))
    servers = [s for s in admin.compute.servers(all_projects=True) if server in (s.name, s.id)]
    if not servers:
        raise LabError(f"No server is called '{server}'.", "`openstack server list` shows them.")
    path = layout.data("nova") / "instances" / str(servers[0].id) / "console.log"
    if not path.exists():
        raise LabError(
            f"Server '{server}' has no console.",
            "It never started, or is on the fake hypervisor.",
        )
    return path
