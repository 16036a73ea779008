#!/usr/bin/env python3
"""Create the service's RabbitMQ account and its password here, so that user data holds no secret.

This runs before RabbitMQ is installed, because the services read the password and start in parallel
with RabbitMQ. On a server from a prepared image it runs early in the boot, before cloud-init has
any data (early-stackserve.service), and again once there is some.
"""

from __future__ import annotations

import base64
import grp
import hashlib
import json
import re
import secrets
import sys
from pathlib import Path

from certificates import make_certificates
from private import SERVICE, SETTINGS, VHOST, broker_url, write

RABBITMQ = Path("/etc/rabbitmq")
DEFINITIONS = RABBITMQ / "stackserve-definitions.json"
# The secret that Erlang nodes share.
COOKIE = Path("/var/lib/rabbitmq/.erlang.cookie")
# The hash of the configuration that RabbitMQ was started with, early in the boot.
STARTED_WITH = Path("/run/stackserve-rabbitmq")
OF_THE_IMAGE = Path(__file__).with_name("settings.env")
BROKER = re.compile(r"^STACKSERVE_BROKER_URL=amqp://([^:]+):([^@]+)@.*\n", re.MULTILINE)


def main(early: bool) -> None:
    settings = OF_THE_IMAGE if early else SETTINGS
    make_settings(settings.read_text())
    make_definitions()
    if early:
        STARTED_WITH.write_text(configuration())
    elif STARTED_WITH.exists() and STARTED_WITH.read_text() != configuration():
        STARTED_WITH.unlink()  # so that rabbitmq.sh restarts it


def make_settings(settings: str) -> None:
    """Write server.env with these settings, and keep the password if there is one."""
    before = SERVICE.read_text() if SERVICE.exists() else ""
    kept = BROKER.search(before)
    broker = kept[0] if kept else broker_url(VHOST, secrets.token_urlsafe(32), "127.0.0.1", 5672)
    if before != settings + broker:
        write(SERVICE, settings + broker, "stackserve")


def make_definitions() -> None:
    """Write what RabbitMQ reads at its first start, if RabbitMQ is installed."""
    if not any(group.gr_name == "rabbitmq" for group in grp.getgrall()):
        return
    if not COOKIE.exists():
        # On a slow machine Erlang itself would try to create it twice, fail and start over.
        write(COOKIE, secrets.token_hex(16).upper(), "rabbitmq", "rabbitmq", 0o400)
    if not DEFINITIONS.exists():
        found = BROKER.search(SERVICE.read_text())
        assert found, "make_settings wrote it"
        write(DEFINITIONS, json.dumps(definitions(found[1], found[2])), "rabbitmq")
    make_certificates()


def definitions(account: str, password: str) -> dict[str, object]:
    """One virtual host, and one account that may do anything in it and nothing elsewhere."""
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": account,
                "password_hash": password_hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
        ],
        "permissions": [
            {"user": account, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}
        ],
    }


def password_hash(password: str) -> str:
    """RabbitMQ's format: four bytes of salt, then the SHA-256 of salt and password."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def configuration() -> str:
    """A hash of everything that RabbitMQ reads, except the account."""
    digest = hashlib.sha256()
    files = sorted(path for path in RABBITMQ.rglob("*.conf*") if path.is_file())
    for path in files:
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main("early" in sys.argv[1:])
