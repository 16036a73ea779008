"""Serve on this machine, without a cloud, by replacing this process with the service."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
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


def become(arguments: list[str], tls: Mapping[str, str | None] | None = None) -> NoReturn:
    """Replace this process, so that Ctrl-C reaches the service directly."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(arguments[0], arguments, environment(dict(os.environ), CHECKOUT, tls))


def environment(
    inherited: dict[str, str], checkout: Path | None, tls: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """Let Python find the service, and import nothing from the current folder.

    `tls` are settings of the service that its command has no flags for.
    """
    folders = [str(checkout)] if checkout else []
    if "PYTHONPATH" in inherited:
        folders.append(inherited["PYTHONPATH"])
    found = {"PYTHONPATH": os.pathsep.join(folders)} if folders else {}
    given = {f"STACKSERVE_TLS_{name.upper()}": of for name, of in (tls or {}).items() if of}
    return {**inherited, **found, **given, "PYTHONSAFEPATH": "1"}
