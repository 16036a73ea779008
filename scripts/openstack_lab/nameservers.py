"""The name servers of this machine that guests can reach."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def reachable(text: str) -> tuple[str, ...]:
    """The IPv4 name servers in a resolv.conf that are not on the loopback interface."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = IPv4Address(words[1])
        except AddressValueError:
            continue
        if not address.is_loopback:
            found.append(str(address))
    return tuple(found)


def find() -> tuple[str, ...]:
    for path in FILES:
        if path.exists():
            found = reachable(path.read_text())
            if found:
                return found
    return ()
