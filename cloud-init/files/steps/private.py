"""Where the service's settings are, and how a file with a secret in it is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# From the user data; then with the broker's address and password, for the services alone.
SETTINGS = Path("/etc/stackserve/settings.env")
SERVICE = Path("/etc/stackserve/server.env")
VHOST = "stackserve"


def broker_url(account: str, password: str, host: str, port: int) -> str:
    """As the services are told it."""
    return f"STACKSERVE_BROKER_URL=amqp://{account}:{password}@{host}:{port}/{VHOST}\n"


def write(path: Path, text: str, group: str, user: str = "root", mode: int = 0o640) -> None:
    """Appear whole, readable by its owner and one group alone."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)  # whatever the umask is
    shutil.chown(new, user, group)
    new.replace(path)
