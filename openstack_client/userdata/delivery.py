"""Deliver the payload to the VM, on the port that the service will use.

The user data tells the VM the SHA-256 of the payload, and the VM accepts nothing else, so
delivery needs no password and no ssh. A booting VM does not answer yet: call `deliver` again.
"""

from __future__ import annotations

import hashlib
import http.client
from enum import StrEnum

from openstack_client.errors import ContextualizationError

TIMEOUT = 20.0


class Delivery(StrEnum):
    """The result of one attempt."""

    DELIVERED = "delivered"
    NOT_YET = "not yet"
    """No answer yet, or the connection failed: try again later."""
    NOT_WANTED = "not wanted"
    """The service is running, so the VM has its code."""


def deliver(address: str, port: int, payload: bytes, timeout: float = TIMEOUT) -> Delivery:
    """Make one attempt. Raises ContextualizationError if the VM expects different code."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    path = f"/stackserve-payload/{hashlib.sha256(payload).hexdigest()}"
    try:
        connection.request("PUT", path, body=payload, headers={"Connection": "close"})
        response = connection.getresponse()
        message = response.read(500).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException):
        return Delivery.NOT_YET
    finally:
        connection.close()
    if response.status == http.HTTPStatus.CREATED:
        return Delivery.DELIVERED
    if response.status == http.HTTPStatus.CONFLICT:
        raise ContextualizationError(
            f"The server at {address} expects different code. {message}",
            "It was created with another version of the code: delete it and deploy again.",
        )
    if response.status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.METHOD_NOT_ALLOWED):
        return Delivery.NOT_WANTED
    return Delivery.NOT_YET
