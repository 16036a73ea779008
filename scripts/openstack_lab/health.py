"""Asking a daemon whether it answers; runs inside the lab's namespaces."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from openstack_lab.unit import Check

PATIENCE = 5.0


def passes(check: Check) -> bool:
    """Whether the check succeeds now."""
    match check.kind:
        case "none":
            return True
        case "path":
            return Path(check.target).exists()
        case "tcp":
            return _connects(check.target)
        case "http":
            return _answers(check.target)
        case "consumer":
            return _listens(check.target, check.queue)


def _connects(target: str) -> bool:
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def _answers(target: str) -> bool:
    """Any answer of the application counts, but not the server's own 5xx while it loads."""
    address, _, path = target.partition("/")
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(name: str, broker: str) -> bool:
    """Whether somebody consumes the queue: only then is a call to it answered."""
    import amqp

    host, user, password = broker.split()
    connection = amqp.Connection(host, user, password, connect_timeout=PATIENCE)
    try:
        connection.connect()
        declared = connection.channel().queue_declare(name, passive=True)
    except (OSError, amqp.AMQPError):
        return False
    finally:
        connection.close()
    return bool(declared.consumer_count)
