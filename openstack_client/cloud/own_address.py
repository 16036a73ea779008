"""The address of this machine on its way to the cloud: asks the kernel's routes, nobody else."""

from __future__ import annotations

import socket

from openstack_client.cloud.resources import Route

SSH_PORT = 22


def route_to(host: str) -> Route | None:
    """The route to a host; None if there is none. Sends nothing to it: connecting a datagram
    socket only chooses the local address.

    A name is looked up for IPv4, because floating IPs have no other addresses.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, SSH_PORT))
            return Route(probe.getsockname()[0], probe.getpeername()[0])
    except OSError:
        return None


def addresses_of(name: str) -> list[str]:
    """The addresses to which a name leads, as this machine sees it; none if it is not known."""
    if not name:
        return []
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})
