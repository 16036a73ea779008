#!/usr/bin/env python3
"""Announce the authority of the proxy's certificate on the console, at each start of the proxy.

The launcher trusts what the console said last, and refuses a server with another authority.
Runs as root, but the proxy writes the file: whatever it holds, only its SHA-256 is shown.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path

CONSOLE = Path("/dev/console")
# Less than systemd waits for a service that starts.
LISTENS_WITHIN = 60
PAUSE = 0.3
LONGEST = 10_000


def main() -> None:
    if not listens(int(os.environ["STACKSERVE_TLS_PORT"])):
        sys.exit("error: the proxy does not listen, so nothing was announced")
    digest = fingerprint(Path(os.environ["STACKSERVE_TLS_HOME"], "authority.pem"))
    if digest:
        with CONSOLE.open("w", encoding="ascii") as console:
            console.write(f"\nSTACKSERVE-AUTHORITY sha256={digest}\n")


def listens(port: int) -> bool:
    """Wait for the proxy: before it listens, it may still make a new certificate."""
    until = time.monotonic() + LISTENS_WITHIN
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
        time.sleep(PAUSE)
    return False


def fingerprint(file: Path) -> str:
    """The SHA-256 of a certificate; empty if there is none, as with --tls CERT,KEY."""
    try:
        # Not through a link, and without waiting for a pipe.
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    with os.fdopen(opened, "rb") as content:
        text = content.read(LONGEST).decode("ascii")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()


if __name__ == "__main__":
    main()
