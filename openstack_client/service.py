"""The port and the URL of a deployed service."""

from __future__ import annotations

from openstack_client.roles import ours

HTTP_PORT = ours("server").port or 0


def base_url(address: str, port: int = HTTP_PORT) -> str:
    """The URL of the service at an address."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}"
