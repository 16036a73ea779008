#!/usr/bin/env python3
"""Start the TLS proxy, and announce the authority of its certificate on the console.

The launcher trusts what the console says, and refuses a server with another authority.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from private import write

UNIT = "proxy-stackserve.service"
SETTINGS = Path("/etc/stackserve/proxy.env")
AUTHORITY = Path("/var/lib/proxy-stackserve/authority.pem")
METADATA = "http://169.254.169.254/latest/meta-data/public-ipv4"
CONSOLE = Path("/dev/console")
# Seconds. The launcher attaches the floating IP while the server boots.
ADDRESS_WITHIN = 15
LISTENS_WITHIN = 120
PAUSE = 0.3


def main() -> None:
    names = public_address()
    print(f"the address that others use: {names or 'unknown'}", flush=True)
    write(SETTINGS, f"STACKSERVE_TLS_NAMES={names}\n" if names else "", "root", mode=0o644)
    subprocess.run(["systemctl", "enable", "--quiet", "--no-reload", UNIT], check=True)
    subprocess.run(["systemctl", "restart", UNIT], check=True)
    wait_until_it_listens(int(os.environ["HTTPS_PORT"]))
    if AUTHORITY.exists():
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(AUTHORITY.read_text())).hexdigest()
        with CONSOLE.open("w", encoding="ascii") as console:
            console.write(f"\nSTACKSERVE-AUTHORITY sha256={digest}\n")


def public_address() -> str:
    """The floating IP, if the metadata service knows one."""
    # The proxy is for downloads, not for this address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + ADDRESS_WITHIN
    found = ""
    while not found and time.monotonic() < until:
        with suppress(OSError), opener.open(METADATA, timeout=5) as answer:
            found = answer.read(100).decode("ascii", "replace").strip()
        time.sleep(0 if found else PAUSE)
    return found


def wait_until_it_listens(port: int) -> None:
    until = time.monotonic() + LISTENS_WITHIN
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(PAUSE)
    journal = ["journalctl", "--no-pager", "--output=cat", "--lines=12", f"--unit={UNIT}"]
    subprocess.run(journal, check=False)
    sys.exit(f"error: {UNIT} does not listen on port {port}")


if __name__ == "__main__":
    main()
