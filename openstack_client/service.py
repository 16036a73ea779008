"""The port and the URL of a deployed service."""

from __future__ import annotations

from openstack_client import oidc
from openstack_client.roles import HTTPS_PORT, Ask, Watched, ours

HTTP_PORT = ours("server").port or 0


def base_url(address: str, port: int = HTTP_PORT, *, tls: bool | None = None) -> str:
    """The URL of the service at an address. Port 443 means TLS, and a tunnel to it does too."""
    host = f"[{address}]" if ":" in address else address
    scheme = "https" if (port == HTTPS_PORT if tls is None else tls) else "http"
    return f"{scheme}://{host}" + ("" if (scheme, port) == ("https", HTTPS_PORT) else f":{port}")


def redirect_url(watched: Watched, address: str) -> str:
    """Where an identity provider sends people back to."""
    port = watched.port or HTTP_PORT
    return base_url(address, port, tls=watched.tls) + oidc.CALLBACK


def page_url(watched: Watched, address: str, port: int | None = None) -> str:
    """The page that people open, at the role's port or another, or nothing if it has none."""
    paths = {Ask.PREDICTION: "/predictions", Ask.PAGE: watched.path}
    if watched.ask not in paths:
        return ""
    url = base_url(address, port or watched.port or HTTP_PORT, tls=watched.tls)
    return url + paths[watched.ask]
