"""Without a cloud: serve on this machine, by becoming the service's own process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from openstack_client.places import CHECKOUT


def command(host: str | None, port: int | None, services: bool, workers: int | None) -> list[str]:
    """The command line of the embedded service."""
    arguments = [sys.executable, "-m", "production_server", "serve"]
    if host is not None:
        arguments += ["--host", host]
    if port is not None:
        arguments += ["--port", str(port)]
    if services:
        arguments += ["--services"]
    if workers is not None:
        arguments += ["--workers", str(workers)]
    return arguments


def become(arguments: list[str]) -> NoReturn:
    """Replace this process, so that Ctrl-C reaches the service itself."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(arguments[0], arguments, environment(dict(os.environ), CHECKOUT))


def environment(inherited: dict[str, str], checkout: Path | None) -> dict[str, str]:
    """With this, Python finds the service, and imports nothing from the current folder."""
    folders = [str(checkout)] if checkout else []
    if "PYTHONPATH" in inherited:
        folders.append(inherited["PYTHONPATH"])
    found = {"PYTHONPATH": os.pathsep.join(folders)} if folders else {}
    return {**inherited, **found, "PYTHONSAFEPATH": "1"}
