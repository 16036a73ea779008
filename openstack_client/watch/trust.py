"""Trust a server's own certificate authority, because its console announced it; or one certificate.

The console comes from Nova, over the cloud's own TLS. The authority signed a single certificate and
its key is gone, so whoever shows a certificate of this authority is the server.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter

PATH = "/stackserve-authority.pem"
SECONDS = 15.0
LONGEST = 10_000


class Untrusted(Exception):
    """The server shows another authority than its console, or none."""


class ByAuthority(HTTPAdapter):
    """Does not compare the name: a tunnel has another, and an address may be new."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> Any:
        return super().init_poolmanager(*arguments, **options, assert_hostname=False)


class ByCertificate(HTTPAdapter):
    """Accepts one certificate alone, whoever signed it and for whatever names."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> Any:
        pin = self._fingerprint
        return super().init_poolmanager(
            *arguments, **options, assert_hostname=False, assert_fingerprint=pin
        )


def learn(file: Path, address: str, port: int, fingerprint: str) -> Path:
    """Save the authority with this fingerprint in `file`, unless it is there. Returns the file.

    Raises Untrusted if the server has another one, and OSError if it does not answer.
    """
    with suppress(OSError, ValueError):
        if fingerprint_of(file.read_text("ascii")) == fingerprint:
            return file
    shown, found = _ask(address, port)
    if found != fingerprint:
        raise Untrusted(
            f"shows a certificate authority with the fingerprint {found[:16]}..., but its console "
            f"announced {fingerprint[:16]}..."
        )
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.write_text(shown, "ascii")
    return file


def fingerprint_of(pem: str) -> str:
    """The SHA-256 of a certificate. Raises ValueError if it is none."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def _ask(address: str, port: int) -> tuple[str, str]:
    """The certificate that the server shows, over a connection that proves nothing yet.

    Also returns its fingerprint.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(address, port, timeout=SECONDS, context=context)
    try:
        connection.request("GET", PATH)
        answer = connection.getresponse()
        body = answer.read(LONGEST).decode("ascii")
        if answer.status == http.HTTPStatus.OK:
            return body, fingerprint_of(body)
        raise Untrusted(f"answers HTTP {answer.status} when it is asked for its authority")
    except (http.client.HTTPException, ValueError) as error:
        raise Untrusted(f"shows no certificate authority ({error})") from error
    finally:
        connection.close()
