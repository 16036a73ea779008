"""A certificate of a public authority, by ACME: asked for with `dehydrated`, a package of Debian.

The authority checks the domain with a request to port 80, which nginx answers from a folder.
"""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from production_server.errors import ServiceError
from production_server.proxy.certificates import Certificate
from production_server.settings import Settings, bare_environment

log = logging.getLogger("stackserve.acme")

RENEW_DAYS = 30
CHECK_SECONDS = 12 * 3600.0
# The pause after a failure doubles up to CHECK_SECONDS: authorities lock out those that insist.
FIRST_PAUSE = 60.0
TIMEOUT = 300.0
CHALLENGES = "challenges"


def found(settings: Settings) -> Certificate | None:
    """The certificate that the authority has issued, if it has issued one."""
    folder = _folder(settings) / "certs" / str(settings.tls_domain)
    certificate = Certificate(folder / "fullchain.pem", folder / "privkey.pem")
    return certificate if certificate.certificate.exists() and certificate.key.exists() else None


def renew(settings: Settings) -> bool:
    """Ask for a certificate if there is none, or if it is nearly over. Returns whether it changed.

    Raises ServiceError with what the authority said.
    """
    before = _content(settings)
    folder = _folder(settings)
    (settings.tls_folder / CHALLENGES).mkdir(exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    configuration = folder / "config"
    configuration.write_text(
        f'CA="{settings.tls_acme_server}"\n'
        f'BASEDIR="{folder}"\n'
        f'WELLKNOWN="{settings.tls_folder / CHALLENGES}"\n'
        "CHALLENGETYPE=http-01\n"
        f"RENEW_DAYS={RENEW_DAYS}\n"
    )
    program = [_installed(), "--config", str(configuration)]
    _run([*program, "--register", "--accept-terms"], settings)
    _run([*program, "--cron", "--domain", str(settings.tls_domain)], settings)
    return _content(settings) != before


class Renewal:
    """Keeps the certificate of a running nginx valid."""

    def __init__(self, settings: Settings, reload: Callable[[], None]) -> None:
        self._settings = settings
        self._reload = reload
        self._wake = threading.Event()

    def start(self) -> None:
        """Check in a thread of its own; SIGHUP makes it check now."""
        signal.signal(signal.SIGHUP, self._on_hangup)
        threading.Thread(target=self._run, name="acme", daemon=True).start()

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._wake.set()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if renew(self._settings):
                    log.info("new certificate for %s", self._settings.tls_domain)
                    self._reload()
                pause, wait = FIRST_PAUSE, CHECK_SECONDS
            except ServiceError as error:
                log.error("%s; next attempt in %g s", error, pause)
                pause, wait = min(2 * pause, CHECK_SECONDS), pause
            self._wake.wait(wait)
            self._wake.clear()


def _run(command: list[str], settings: Settings) -> None:
    environment = bare_environment()
    if settings.tls_acme_ca is not None:
        environment["CURL_CA_BUNDLE"] = str(settings.tls_acme_ca)
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"the authority did not answer within {TIMEOUT:g} s") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[-500:]
        raise ServiceError(
            f"no certificate for {settings.tls_domain}: {said}",
            "Its name must lead to this server, and port 80 must be open to everybody.",
        )


def _content(settings: Settings) -> bytes:
    certificate = found(settings)
    return certificate.certificate.read_bytes() if certificate else b""


def _folder(settings: Settings) -> Path:
    return settings.tls_folder / "acme"


def _installed() -> str:
    program = shutil.which("dehydrated")
    if program is None:
        raise ServiceError(
            "ACME needs dehydrated, which is not installed", "Run: apt-get install dehydrated"
        )
    return program
