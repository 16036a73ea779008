"""The server's own certificate and the authority that signed it, made with openssl.

The authority's key exists only while it signs. So nobody who breaks in later can sign a certificate
for another site, even if people let their browsers trust this authority. When the names change or
the time is nearly over, both are made anew.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from production_server.errors import ServiceError
from production_server.model.durable import write_whole
from production_server.settings import bare_environment

DAYS = 825  # browsers refuse certificates that are valid for longer
RENEW_SECONDS = 30 * 24 * 3600
CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


@dataclass(frozen=True)
class Certificate:
    """The files that the proxy uses."""

    certificate: Path
    key: Path
    authority: Path | None = None
    """The authority that clients must be told of; None if they know it."""


def own(folder: Path, names: Iterable[str]) -> Certificate:
    """The certificate for these names and addresses in this folder, made if necessary."""
    found = Certificate(folder / "server.pem", folder / "server.key", folder / "authority.pem")
    wanted = ", ".join(alternative(name) for name in sorted(set(names)))
    marker = folder / "names"
    if not _is_good(found, wanted, marker):
        _make(found, wanted, marker)
    return found


def _is_good(found: Certificate, wanted: str, marker: Path) -> bool:
    if not (found.key.exists() and marker.exists() and marker.read_text() == wanted):
        return False
    return not _openssl("x509", "-checkend", str(RENEW_SECONDS), "-in", str(found.certificate))


def given(certificate: Path, key: Path) -> Certificate:
    """The operator's own certificate. Raises ServiceError if the two files do not fit."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ServiceError(
            f"cannot use {certificate} with {key}: {error.strerror or error}",
            "Name a PEM file with the certificate and its chain, then one with its key.",
        ) from error
    return Certificate(certificate, key)


def fingerprint(authority: Path) -> str:
    """The SHA-256 of a certificate, as browsers and `openssl x509 -fingerprint` show it."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority.read_text())).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def own_names() -> set[str]:
    """The host name, and the addresses that this machine has by itself."""
    names = {"localhost", "127.0.0.1", "::1"}
    host = socket.gethostname()
    with suppress(ValueError):
        alternative(host)
        names.add(host)
    for family, outside in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        # Connecting a datagram socket sends nothing; it only chooses the address.
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as chooser:
            chooser.connect((outside, 9))
            names.add(chooser.getsockname()[0])
    return names


def alternative(name: str) -> str:
    """A name or an address, as a certificate says it."""
    with suppress(ValueError):
        return f"IP:{ipaddress.ip_address(name.strip('[]'))}"
    if not name or not all(part.isalnum() or part in "-._" for part in name):
        raise ValueError(f"{name!r} is neither a host name nor an address")
    return f"DNS:{name}"


def _make(found: Certificate, names: str, marker: Path) -> None:
    assert found.authority is not None
    marker.unlink(missing_ok=True)
    folder = marker.parent
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch)
        made.joinpath("authority").write_text(
            CONFIGURATION.format(name="Stackserve authority", names=names)
        )
        made.joinpath("server").write_text(CONFIGURATION.format(name="Stackserve", names=names))
        _sign(made, "authority")
        _sign(made, "server", "-CA", "authority.pem", "-CAkey", "authority.key")
        authority = (made / "authority.pem").read_bytes()
        write_whole(found.authority, authority, 0o644)
        write_whole(found.certificate, (made / "server.pem").read_bytes() + authority, 0o644)
        write_whole(found.key, (made / "server.key").read_bytes(), 0o600)
    write_whole(marker, names.encode(), 0o644)


def _sign(folder: Path, what: str, *by: str) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-days", str(DAYS), "-keyout", f"{what}.key", "-out", f"{what}.pem"]
    command = ["req", "-x509", "-config", what, "-extensions", what, *by, *key, *files]
    if failure := _openssl(*command, folder=folder):
        raise ServiceError(f"openssl made no certificate: {failure}", "Is openssl installed?")


def _openssl(*arguments: str, folder: Path | None = None) -> str:
    """Run openssl. Returns why it failed, or nothing."""
    try:
        done = subprocess.run(
            ["openssl", *arguments],
            cwd=folder,
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "it is not installed"
    said = (done.stderr or done.stdout).strip().splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else "no reason given")
