"""The proxy's process: it makes the certificate and the configuration, and becomes nginx."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from production_server.errors import ServiceError, SettingsError
from production_server.proxy import acme, certificates, nginx
from production_server.proxy.certificates import Certificate
from production_server.settings import ACME, Settings, bare_environment
from production_server.web.hosts import is_loopback

CONFIGURATION = "nginx.conf"


def run_proxy(settings: Settings) -> None:
    """Serve TLS until a signal. Without ACME, this process is nginx from then on."""
    certificate = prepare(settings)
    if settings.tls == ACME:
        raise SystemExit(_run_with_acme(settings, certificate))
    os.execve(installed(), _command(settings), bare_environment())


def _run_with_acme(settings: Settings, own: Certificate) -> int:
    """Run nginx as a child, and give it each new certificate. Returns its exit code.

    Its own certificate stays: a new authority is announced when the proxy starts.
    """
    child = subprocess.Popen(_command(settings), env=bare_environment())

    def reload() -> None:
        _configure(settings, own)
        child.send_signal(signal.SIGHUP)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: child.send_signal(number))
    acme.Renewal(settings, reload).start()
    return child.wait()


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
    if settings.tls == ACME and not settings.tls_domain:
        raise SettingsError(
            "STACKSERVE_TLS=acme needs STACKSERVE_TLS_DOMAIN, the name of this server",
            "See docs/tls.md.",
        )
    folder = settings.tls_folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "temporary").mkdir(exist_ok=True)
    certificate = certificate_of(settings)
    _configure(settings, certificate)
    return certificate


def _configure(settings: Settings, certificate: Certificate) -> None:
    """Write nginx's configuration, with the certificate that an authority has issued."""
    named = acme.found(settings) if settings.tls == ACME else None
    content = nginx.configuration(settings, certificate, named)
    (settings.tls_folder / CONFIGURATION).write_text(content, "utf-8")


def _command(settings: Settings) -> list[str]:
    return [installed(), "-e", "stderr", "-p", str(settings.tls_folder), "-c", CONFIGURATION]


def certificate_of(settings: Settings) -> Certificate:
    """The operator's certificate, or one of its own. Raises ServiceError if it cannot be used.

    With ACME too: nginx needs one before the authority has issued another, and the launcher, which
    knows the server by an address, recognizes it by its own.
    """
    if settings.tls_files is not None:
        return certificates.given(*settings.tls_files)
    return certificates.own(settings.tls_folder, names(settings))


def names(settings: Settings) -> set[str]:
    """What clients may call this server."""
    listed = f"{settings.tls_names or ''},{settings.tls_domain or ''}"
    given = {name.strip() for name in listed.split(",")} - {""}
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
