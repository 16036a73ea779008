"""Hands the payload to the VM, on the port where the service will answer.

The VM knows the SHA-256 of what it waits for from its user data and takes nothing else, so
this needs no password and no ssh. While the VM still boots, nobody answers: call it again.
"""

from __future__ import annotations

import hashlib
import http.client
from enum import StrEnum

from openstack_client.errors import ContextualizationError

TIMEOUT = 20.0


class Delivery(StrEnum):
    """What came of one attempt."""

    DELIVERED = "delivered"
    NOT_YET = "not yet"
    """Nobody answers there yet, or the connection broke: try again in a moment."""
    NOT_WANTED = "not wanted"
    """The service itself answers there already: it has its code."""


def deliver(address: str, port: int, payload: bytes, timeout: float = TIMEOUT) -> Delivery:
    """Make one attempt; ContextualizationError when the VM waits for other code than this."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    path = f"/stackserve-payload/{hashlib.sha256(payload).hexdigest()}"
    try:
        connection.request("PUT", path, body=payload, headers={"Connection": "close"})
        answer = connection.getresponse()
        said = answer.read(500).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException):
        return Delivery.NOT_YET
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.CREATED:
        return Delivery.DELIVERED
    if answer.status == http.HTTPStatus.CONFLICT:
        raise ContextualizationError(
            f"The server at {address} waits for other code than this checkout holds. {said}",
            "It was made from another state of the code: delete it and deploy again.",
        )
    if answer.status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.METHOD_NOT_ALLOWED):
        return Delivery.NOT_WANTED
    return Delivery.NOT_YET
