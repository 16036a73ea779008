"""Health checks of daemons, run inside the lab's namespaces."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from openstack_lab.unit import Check

TIMEOUT = 5.0


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
        socket.create_connection((host, int(port)), timeout=TIMEOUT).close()
    except OSError:
        return False
    return True


def _answers(target: str) -> bool:
    """Any response is good, except the 5xx that uwsgi sends while the application loads."""
    address, _, path = target.partition("/")
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(name: str, broker: str) -> bool:
    """Whether the queue has a consumer. Without one, calls get no reply."""
    import amqp

    host, user, password = broker.split()
    connection = amqp.Connection(host, user, password, connect_timeout=TIMEOUT)
    try:
        connection.connect()
        declared = connection.channel().queue_declare(name, passive=True)
    except (OSError, amqp.AMQPError):
        return False
    finally:
        connection.close()
    return bool(declared.consumer_count)
