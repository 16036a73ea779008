"""Keeps the guests' wires up.

libvirt switches a guest's tap on while Open vSwitch makes it promiscuous, and each writes back all
the flags that it has read. When the switch comes last with what it read first, the tap is off
again: the guest never gets an address.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

LINKS = Path("/sys/class/net")
UP = 0x1
PERIOD = 0.5


def switched_off(links: Path = LINKS) -> list[str]:
    """The taps of this namespace, all of them guests', that are off."""
    off = []
    for tap in links.glob("tap*"):
        try:
            flags = int((tap / "flags").read_text(), 16)
        except OSError:  # gone meanwhile
            continue
        if not flags & UP:
            off.append(tap.name)
    return off


def main() -> None:
    while True:
        for tap in switched_off():
            print(f"switching {tap} on", flush=True)
            subprocess.run(["ip", "link", "set", tap, "up"], check=False)
        time.sleep(PERIOD)


if __name__ == "__main__":
    main()
