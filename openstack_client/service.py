"""The ports and the URL of a deployed service."""

from __future__ import annotations

HTTP_PORT = 5100
SSH_PORT = 22


def base_url(address: str, port: int = HTTP_PORT) -> str:
    """The URL of the service at an address."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}"
