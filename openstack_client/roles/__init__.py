"""Roles: what a server is for, read from a folder with a role.toml.

    role = ours("server")               # a folder in cloud-init/roles/
    role = read(Path("~/my-role"))      # anybody's folder
    role.ports, role.stages, role.watched

docs/roles.md explains how to write one.
"""

from openstack_client.roles.builder import builder
from openstack_client.roles.model import (
    HTTPS_PORT,
    PROXY,
    Ask,
    Port,
    Role,
    Step,
    TlsKind,
    Watched,
    Who,
    Workers,
)
from openstack_client.roles.read import beside, find, is_ours, names, ours, read

__all__ = [
    "HTTPS_PORT",
    "PROXY",
    "Ask",
    "Port",
    "Role",
    "Step",
    "TlsKind",
    "Watched",
    "Who",
    "Workers",
    "beside",
    "builder",
    "find",
    "is_ours",
    "names",
    "ours",
    "read",
]
