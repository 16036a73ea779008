"""The paths of the service's settings, and a way to write files that a reset cannot damage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# From the user data, and with the broker's address and password, which only the services may read.
SETTINGS = Path("/etc/stackserve/settings.env")
SERVICE = Path("/etc/stackserve/server.env")
VHOST = "stackserve"


def broker_url(account: str, password: str, host: str, port: int) -> str:
    """The setting that tells the services where the broker is."""
    return f"STACKSERVE_BROKER_URL=amqp://{account}:{password}@{host}:{port}/{VHOST}\n"


def write(path: Path, text: str, group: str, user: str = "root", mode: int = 0o640) -> None:
    """Write the whole file at once, and to the disk: after a reset it is the old or the new one.

    By default it may hold a secret: only its owner and one group can read it.
    """
    write_bytes(path, text.encode(), group, user, mode)


def write_bytes(
    path: Path, content: bytes, group: str, user: str = "root", mode: int = 0o640
) -> None:
    """The same for bytes."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)  # whatever the umask is
        shutil.chown(new, user, group)
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
