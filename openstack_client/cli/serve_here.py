"""Serve on this machine, without a cloud, by replacing this process with the service."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from openstack_client.places import CHECKOUT


def command(
    host: str | None,
    port: int | None,
    services: bool,
    workers: int | None,
    tls: str | None = None,
) -> list[str]:
    """The command that starts the local service."""
    arguments = [sys.executable, "-m", "production_server", "serve"]
    if host is not None:
        arguments += ["--host", host]
    if port is not None:
        arguments += ["--port", str(port)]
    if services:
        arguments += ["--services"]
    if workers is not None:
        arguments += ["--workers", str(workers)]
    if tls is not None:
        arguments += ["--tls", tls]
    return arguments


def become(arguments: list[str]) -> NoReturn:
    """Replace this process, so that Ctrl-C reaches the service directly."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(arguments[0], arguments, environment(dict(os.environ), CHECKOUT))


def environment(inherited: dict[str, str], checkout: Path | None) -> dict[str, str]:
    """Let Python find the service, and import nothing from the current folder."""
    folders = [str(checkout)] if checkout else []
    if "PYTHONPATH" in inherited:
        folders.append(inherited["PYTHONPATH"])
    found = {"PYTHONPATH": os.pathsep.join(folders)} if folders else {}
    return {**inherited, **found, "PYTHONSAFEPATH": "1"}
