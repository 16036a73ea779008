"""The port and the URL of a deployed service."""

from __future__ import annotations

from openstack_client.roles import Ask, Watched, ours

HTTP_PORT = ours("server").port or 0


def base_url(address: str, port: int = HTTP_PORT) -> str:
    """The URL of the service at an address."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}"


def page_url(watched: Watched, address: str, port: int | None = None) -> str:
    """The page that people open, at the role's port or another, or nothing if it has none."""
    paths = {Ask.PREDICTION: "/predictions", Ask.PAGE: watched.path}
    if watched.ask not in paths:
        return ""
    return base_url(address, port or watched.port or HTTP_PORT) + paths[watched.ask]
