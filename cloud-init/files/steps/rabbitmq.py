#!/usr/bin/env python3
"""Gives RabbitMQ its own account, made here so that its password is in no user data, and starts it.

RabbitMQ reads the definitions file at its first start, so it never has a guest account and
needs no command of its own for each setting. The service reads the same password from
/etc/stackserve/server.env.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

SETTINGS = Path("/etc/stackserve/settings.env")
SERVICE = Path("/etc/stackserve/server.env")
DEFINITIONS = Path("/etc/rabbitmq/stackserve-definitions.json")
NAME = "stackserve"  # of the account and of the virtual host


def main() -> None:
    if not SERVICE.exists():
        password = secrets.token_urlsafe(32)
        write(DEFINITIONS, json.dumps(definitions(password)), "rabbitmq")
        broker = f"STACKSERVE_BROKER_URL=amqp://{NAME}:{password}@127.0.0.1:5672/{NAME}"
        write(SERVICE, f"{SETTINGS.read_text()}{broker}\n", "stackserve")
    subprocess.run(["systemctl", "enable", "--quiet", "rabbitmq-server.service"], check=True)
    # Its unit says that it has started only when RabbitMQ itself says so.
    subprocess.run(["systemctl", "restart", "rabbitmq-server.service"], check=True)


def definitions(password: str) -> dict[str, object]:
    """One virtual host, one account that may do all in it and nothing elsewhere."""
    return {
        "vhosts": [{"name": NAME}],
        "users": [
            {
                "name": NAME,
                "password_hash": password_hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
        ],
        "permissions": [
            {"user": NAME, "vhost": NAME, "configure": ".*", "write": ".*", "read": ".*"}
        ],
    }


def password_hash(password: str) -> str:
    """As RabbitMQ keeps it: four bytes of salt, then SHA-256 of salt and password."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def write(path: Path, text: str, group: str) -> None:
    """Appear whole, readable by root and one group alone."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as file:
        file.write(text)
    shutil.chown(new, "root", group)
    new.replace(path)


if __name__ == "__main__":
    main()
