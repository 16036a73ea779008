#!/usr/bin/env python3
"""Connect a worker to its server's RabbitMQ with the ticket that was made for this worker.

The ticket holds a password, so it is never in user data: the launcher takes it from the server to
stackserve-deliver on this machine, over ssh.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import time
from pathlib import Path

from private import SERVICE, SETTINGS, write

TICKET = Path("/etc/stackserve/ticket.json")
AUTHORITY = Path("/etc/stackserve/broker-authority.pem")
PAUSE = 0.5
TIMEOUT = 30
# They go into a settings file that systemd reads, and some into a URL.
PLAIN = {
    "name": r"[a-z0-9-]+",
    "host": r"[A-Za-z0-9.:-]+",
    "account": r"[a-z0-9-]+",
    "password": r"[A-Za-z0-9_-]+",
    "server_name": r"[A-Za-z0-9.-]+",
    "vhost": r"[A-Za-z0-9_-]+",
}

Ticket = dict[str, object]


def main() -> None:
    if not TICKET.exists():
        print("waiting for the launcher to deliver this worker's ticket", flush=True)
        while not TICKET.exists():
            time.sleep(PAUSE)
    ticket = checked(TICKET.read_text())
    write(AUTHORITY, str(ticket["ca"]), "root", mode=0o644)
    settings = SETTINGS.read_text() + broker_settings(ticket)
    if not SERVICE.exists() or SERVICE.read_text() != settings:
        write(SERVICE, settings, "stackserve")
    try_connection(ticket)


def checked(text: str) -> Ticket:
    """The ticket, if it is complete."""
    try:
        ticket: Ticket = json.loads(text)
        wrong = [key for key, form in PLAIN.items() if not re.fullmatch(form, str(ticket[key]))]
        if not isinstance(ticket["port"], int):
            wrong.append("port")
        if "BEGIN CERTIFICATE" not in str(ticket["ca"]):
            wrong.append("ca")
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"error: this is no ticket of stackserve-workers: {type(error).__name__}")
    if wrong:
        sys.exit(f"error: the ticket has an invalid {', '.join(wrong)}")
    return ticket


def broker_settings(ticket: Ticket) -> str:
    """The settings that tell the services where the broker is and how to verify it."""
    host = f"[{ticket['host']}]" if ":" in str(ticket["host"]) else ticket["host"]
    login = f"{ticket['account']}:{ticket['password']}"
    return (
        f"STACKSERVE_BROKER_URL=amqps://{login}@{host}:{ticket['port']}/{ticket['vhost']}\n"
        f"STACKSERVE_BROKER_CA={AUTHORITY}\n"
        f"STACKSERVE_BROKER_NAME={ticket['server_name']}\n"
        f"STACKSERVE_WORKER_VM={ticket['name']}\n"
    )


def try_connection(ticket: Ticket) -> None:
    """Fail here, with the reason, if RabbitMQ cannot be reached or is not the right one."""
    host, port, name = str(ticket["host"]), int(str(ticket["port"])), str(ticket["server_name"])
    context = ssl.create_default_context(cadata=str(ticket["ca"]))
    try:
        with socket.create_connection((host, port), TIMEOUT) as plain:
            context.wrap_socket(plain, server_hostname=name).close()
    except OSError as error:
        sys.exit(f"error: cannot reach the server's RabbitMQ at {host} port {port}: {error}")


if __name__ == "__main__":
    main()
