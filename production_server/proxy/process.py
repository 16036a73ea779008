"""The proxy's process: it makes the certificate and the configuration, and becomes nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path

from production_server.errors import ServiceError
from production_server.proxy import certificates, nginx
from production_server.proxy.certificates import Certificate
from production_server.settings import Settings, bare_environment

CONFIGURATION = "nginx.conf"


def run_proxy(settings: Settings) -> None:
    """Serve TLS until a signal; this process is nginx from then on."""
    prepare(settings)
    os.execve(installed(), _command(settings), bare_environment())


def check(settings: Settings) -> Certificate:
    """Raise ServiceError if nginx would not start."""
    certificate = prepare(settings)
    command = [*_command(settings), "-t", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServiceError(f"nginx does not start: {done.stderr.strip()}")
    return certificate


def prepare(settings: Settings) -> Certificate:
    """Write all that nginx reads."""
    folder = settings.tls_folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "temporary").mkdir(exist_ok=True)
    certificate = certificate_of(settings)
    (folder / CONFIGURATION).write_text(nginx.configuration(settings, certificate), "utf-8")
    return certificate


def _command(settings: Settings) -> list[str]:
    return [installed(), "-e", "stderr", "-p", str(settings.tls_folder), "-c", CONFIGURATION]


def certificate_of(settings: Settings) -> Certificate:
    """The certificate that the settings ask for. Raises ServiceError if there is none."""
    if settings.tls_files is not None:
        return certificates.given(*settings.tls_files)
    return certificates.own(settings.tls_folder, names(settings))


def names(settings: Settings) -> set[str]:
    """What clients may call this server."""
    given = {name.strip() for name in (settings.tls_names or "").split(",")} - {""}
    if is_loopback(settings.tls_host):
        return given | {"localhost", "127.0.0.1", "::1"}
    return given | certificates.own_names()


def installed() -> str:
    """The path of nginx. Raises ServiceError if it is not installed."""
    found = shutil.which("nginx") or nginx.PROGRAM
    if not Path(found).exists():
        raise ServiceError(
            "TLS needs nginx, which is not installed", "Run: apt-get install nginx-light"
        )
    return found


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
