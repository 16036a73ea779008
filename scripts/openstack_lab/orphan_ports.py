"""Removes ports that a previous Open vSwitch left in the namespaces of networks.

A tap device outlives the switch that created it. Neutron's agents find it by name and use it
although no packets pass. Without it, they create a new one.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

NAMESPACES = Path("/run/netns")


def orphans(links: list[dict[str, Any]]) -> list[str]:
    """The taps in the output of `ip -details -json link` that no process has open."""
    return [
        link["ifname"]
        for link in links
        if link.get("linkinfo", {}).get("info_kind") == "tun" and "LOWER_UP" not in link["flags"]
    ]


def main() -> None:
    for folder in NAMESPACES.iterdir():
        inside = ["ip", "-netns", folder.name]
        listed = subprocess.run(
            [*inside, "-json", "-details", "link", "show"], check=True, capture_output=True
        )
        for port in orphans(json.loads(listed.stdout or "[]")):
            print(f"removing {port} from {folder.name}", flush=True)
            subprocess.run([*inside, "link", "delete", port], check=True)


if __name__ == "__main__":
    main()
