"""The one wire between the machine and the lab, and the little that the machine changes for it:
an interface, a route, one packet-filter table, and forwarding switched on while a lab runs.
"""

from __future__ import annotations

import json
import subprocess
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from openstack_lab.errors import LabError, RefusedError
from openstack_lab.layout import Layout
from openstack_lab.settings import Settings

INSIDE = "uplink"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# Shared by all labs of the machine: what forwarding was before the first one.
REMEMBERED = Path("/run/stackserve-lab.ip_forward")


def _run(*command: str, feed: str = "") -> str:
    done = subprocess.run(command, input=feed, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def overlap(network: IPv4Network, routes: list[dict[str, Any]]) -> str:
    """The machine's route that the lab's network would take over, '' when there is none."""
    for route in routes:
        target = str(route.get("dst", ""))
        if target == "default":
            continue
        if IPv4Network(target, strict=False).overlaps(network):
            return f"{target} dev {route.get('dev', '?')}"
    return ""


def refuse_overlap(settings: Settings) -> None:
    """Refuse addresses that are taken; those of a lab that was just killed go in a moment."""
    deadline = time.monotonic() + 5
    while taken := overlap(
        settings.network, json.loads(_run("ip", "-json", "-4", "route", "show") or "[]")
    ):
        if time.monotonic() < deadline:
            time.sleep(0.5)
            continue
        raise RefusedError(
            f"The lab's network {settings.network} is in use on this machine: {taken}.",
            "Another lab may be running (`scripts/lab status --folder ITS_FOLDER`); "
            "or take another network: `scripts/lab up --network 172.24.8.0/22`.",
        )


def packet_filter(settings: Settings) -> str:
    """The lab's table: guests leave under the machine's address, strangers don't come in."""
    wire, network = settings.interface, settings.network
    return f"""table ip {wire} {{
  chain outgoing {{
    type nat hook postrouting priority srcnat;
    ip saddr {network} oifname != "{wire}" masquerade
  }}
  chain passing {{
    type filter hook forward priority filter;
    oifname "{wire}" ct state established,related accept
    oifname "{wire}" drop
  }}
}}
"""


def present(settings: Settings) -> bool:
    return Path(f"/sys/class/net/{settings.interface}").exists()


def connect(layout: Layout, pid: int) -> None:
    """Lay the wire into the namespace of process `pid`; nothing happens where it lies already."""
    settings = layout.settings
    wire, prefix = settings.interface, settings.link.prefixlen
    inside = ("nsenter", f"--target={pid}", "--net", "--")
    if not present(settings):
        _run("ip", "link", "add", wire, "type", "veth", "peer", "name", INSIDE, "netns", str(pid))
    # Whose it is, so that no other lab's `down` takes it away.
    _run("ip", "link", "set", wire, "alias", str(layout.folder))
    _run("ip", "address", "replace", f"{settings.host_address}/{prefix}", "dev", wire)
    _run("ip", "link", "set", wire, "up")
    _run(*inside, "ip", "address", "replace", f"{settings.api_address}/{prefix}", "dev", INSIDE)
    _run(*inside, "ip", "link", "set", INSIDE, "up")
    _run(*inside, "ip", "route", "replace", "default", "via", str(settings.host_address))
    _run(*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    _run("ip", "route", "replace", str(settings.external), "via", str(settings.api_address))
    _remove_filter(wire)
    _run("nft", "-f", "-", feed=packet_filter(settings))
    _let_through_firewall(wire)
    if FORWARDING.read_text().strip() != "1":
        REMEMBERED.write_text(FORWARDING.read_text())
        FORWARDING.write_text("1\n")


def _firewall_rules(wire: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return ("-i", wire, "-j", "ACCEPT"), ("-o", wire, "-j", "ACCEPT")


def _let_through_firewall(wire: str) -> None:
    """Where the machine's own firewall drops what it forwards (Docker's does), let ours pass."""
    saved = subprocess.run(
        ["iptables-save", "-t", "filter"], capture_output=True, text=True, check=False
    ).stdout
    if ":FORWARD DROP" not in saved:
        return
    for rule in _firewall_rules(wire):
        if subprocess.run(
            ["iptables", "-C", "FORWARD", *rule], capture_output=True, check=False
        ).returncode:
            _run("iptables", "-I", "FORWARD", *rule)


def _remove_filter(wire: str) -> None:
    subprocess.run(["nft", "delete", "table", "ip", wire], capture_output=True, check=False)


def _of_another(layout: Layout) -> bool:
    alias = Path(f"/sys/class/net/{layout.settings.interface}/ifalias")
    owner = alias.read_text().strip() if alias.exists() else ""
    return owner not in ("", str(layout.folder))


def disconnect(layout: Layout) -> None:
    """Leave the machine as it was before the lab."""
    wire = layout.settings.interface
    if _of_another(layout):
        return
    # It goes with the lab's network namespace, but the kernel takes its time for that.
    subprocess.run(["ip", "link", "delete", wire], capture_output=True, check=False)
    _remove_filter(wire)
    saved = subprocess.run(
        ["iptables-save", "-t", "filter"], capture_output=True, text=True, check=False
    ).stdout
    if wire in saved:
        for rule in _firewall_rules(wire):
            subprocess.run(["iptables", "-D", "FORWARD", *rule], capture_output=True, check=False)
    others = list(Path("/sys/class/net").glob("stacklab*"))
    if REMEMBERED.exists() and not others:
        FORWARDING.write_text(REMEMBERED.read_text())
        REMEMBERED.unlink()
