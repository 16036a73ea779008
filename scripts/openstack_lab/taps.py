"""Keeps the tap devices of guests up.

libvirt brings a tap up while Open vSwitch makes it promiscuous, and each writes back all flags
that it has read. If the switch writes old flags last, the tap is down again and the guest gets
no address.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

LINKS = Path("/sys/class/net")
UP = 0x1
PERIOD = 0.5


def taps_down(links: Path = LINKS) -> list[str]:
    """The taps in this namespace that are down. All of them belong to guests."""
    down = []
    for tap in links.glob("tap*"):
        try:
            flags = int((tap / "flags").read_text(), 16)
        except OSError:  # removed meanwhile
            continue
        if not flags & UP:
            down.append(tap.name)
    return down


def main() -> None:
    while True:
        for tap in taps_down():
            print(f"bringing {tap} up", flush=True)
            subprocess.run(["ip", "link", "set", tap, "up"], check=False)
        time.sleep(PERIOD)


if __name__ == "__main__":
    main()
