#!/usr/bin/env python3
"""Gives RabbitMQ the service's own account, whose password account.py made, and starts it.

RabbitMQ reads the definitions file at its first start, so it never has a guest account and
needs no command of its own for each setting.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import subprocess
from pathlib import Path

from private import SERVICE, VHOST, write

DEFINITIONS = Path("/etc/rabbitmq/stackserve-definitions.json")


def main() -> None:
    if not DEFINITIONS.exists():
        account, password = account_in(SERVICE.read_text())
        write(DEFINITIONS, json.dumps(definitions(account, password)), "rabbitmq")
    subprocess.run(["systemctl", "enable", "--quiet", "rabbitmq-server.service"], check=True)
    # Its unit says that it has started only when RabbitMQ itself says so.
    subprocess.run(["systemctl", "restart", "rabbitmq-server.service"], check=True)


def account_in(settings: str) -> tuple[str, str]:
    """Name and password in the broker's address."""
    found = re.search(r"^STACKSERVE_BROKER_URL=amqp://([^:]+):([^@]+)@", settings, re.MULTILINE)
    assert found, "account.py wrote it"
    return found[1], found[2]


def definitions(account: str, password: str) -> dict[str, object]:
    """One virtual host, one account that may do all in it and nothing elsewhere."""
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
    """As RabbitMQ keeps it: four bytes of salt, then SHA-256 of salt and password."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


if __name__ == "__main__":
    main()
