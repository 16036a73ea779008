"""The name servers that guests can use: the machine's own, where they are not on its loopback."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def reachable(text: str) -> tuple[str, ...]:
    """The IPv4 name servers of a resolv.conf that others than this machine reach."""
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


def nameservers() -> tuple[str, ...]:
    for path in FILES:
        if path.exists():
            found = reachable(path.read_text())
            if found:
                return found
    return ()
