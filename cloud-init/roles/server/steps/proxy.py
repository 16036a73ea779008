#!/usr/bin/env python3
"""Start the TLS proxy, once it has what it needs: addresses, and perhaps a certificate.

At each start, announce.py shows the authority of its own certificate on the console.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from private import write

UNIT = "proxy-stackserve.service"
SETTINGS = Path("/etc/stackserve/proxy.env")
# From stackserve-deliver, which has checked it.
CERTIFICATE = Path("/etc/stackserve/certificate.pem")
METADATA = "http://169.254.169.254/latest/meta-data/public-ipv4"
# Seconds. The launcher attaches the floating IP while the server boots.
ADDRESS_WITHIN = 15
LISTENS_WITHIN = 120
# A launcher that was interrupted may come back days later; contextualize.py waits for a week.
DELIVERED_WITHIN = 6 * 24 * 3600
PAUSE = 0.3


def main() -> None:
    if os.environ["TLS"] == "files":
        wait_for_certificate()
    names = public_address()
    print(f"the address that others use: {names or 'unknown'}", flush=True)
    write(SETTINGS, f"STACKSERVE_TLS_NAMES={names}\n" if names else "", "root", mode=0o644)
    subprocess.run(["systemctl", "enable", "--quiet", "--no-reload", UNIT], check=True)
    subprocess.run(["systemctl", "restart", UNIT], check=True)
    wait_until_it_listens(int(os.environ["HTTPS_PORT"]))


def wait_for_certificate() -> None:
    """Wait until stackserve-deliver puts it in place."""
    until = time.monotonic() + DELIVERED_WITHIN
    if not CERTIFICATE.exists():
        print("waiting for the launcher to deliver the certificate over ssh", flush=True)
    while not CERTIFICATE.exists():
        if time.monotonic() > until:
            sys.exit("error: no certificate was delivered; run `deploy --tls CERT,KEY` again")
        time.sleep(PAUSE)


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
