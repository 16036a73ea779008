"""Make the secrets of a service in containers, unless they are there:

    make_secrets.py FOLDER [postgres]

    stackserve_broker_url    for the service, which reads settings from files of such names
    rabbitmq.conf            for RabbitMQ: the same account, the only one
    stackserve_store_url     for the service with its jobs in PostgreSQL, and only for this
    postgres_password        for PostgreSQL: the password of the same account

The service's group may read them, and nobody else. The standard library is enough.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

ACCOUNT = "stackserve"
HOST = "rabbitmq"
URL = "stackserve_broker_url"
BROKER = "rabbitmq.conf"


STORE = "stackserve_store_url"
POSTGRES = "postgres_password"


def main(folder: Path, *also: str) -> None:
    broker(folder)
    if "postgres" in also:
        postgres(folder)
    else:
        # The jobs are in SQLite. The password stays, for the data that it belongs to.
        (folder / STORE).unlink(missing_ok=True)


def postgres(folder: Path) -> None:
    if not (folder / POSTGRES).exists():
        write(folder / POSTGRES, secrets.token_urlsafe(32))
    password = (folder / POSTGRES).read_text()
    write(folder / STORE, f"postgresql+psycopg://{ACCOUNT}:{password}@postgres:5432/{ACCOUNT}")


def broker(folder: Path) -> None:
    if (folder / URL).exists():
        return
    password = secrets.token_urlsafe(32)
    # The last one is the sign that both are there.
    write(folder / BROKER, account(password))
    write(folder / URL, f"amqp://{ACCOUNT}:{password}@{HOST}:5672/{ACCOUNT}")


def account(password: str) -> str:
    """RabbitMQ's only account: it may do anything in its virtual host, and nothing elsewhere."""
    values = {
        "default_vhost": ACCOUNT,
        "default_user": ACCOUNT,
        "default_pass": password,
        "default_user_tags.administrator": "false",
        "default_permissions.configure": ".*",
        "default_permissions.read": ".*",
        "default_permissions.write": ".*",
    }
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
