"""The link between this machine and the lab.

It changes the machine in four places: an interface, a route, an nftables table, and IP
forwarding, which is on while a lab runs.
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
# The state of forwarding before the first lab of this machine started.
SAVED_FORWARDING = Path("/run/stackserve-lab.ip_forward")


def _run(*command: str, feed: str = "") -> str:
    done = subprocess.run(command, input=feed, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def overlap(network: IPv4Network, routes: list[dict[str, Any]]) -> str:
    """A route of this machine that overlaps the lab's network, '' if there is none."""
    for route in routes:
        target = str(route.get("dst", ""))
        if target == "default":
            continue
        if IPv4Network(target, strict=False).overlaps(network):
            return f"{target} dev {route.get('dev', '?')}"
    return ""


def refuse_overlap(settings: Settings) -> None:
    """Refuse addresses in use. Those of a lab that was just killed take a moment to go away."""
    deadline = time.monotonic() + 5
    while taken := overlap(
        settings.network, json.loads(_run("ip", "-json", "-4", "route", "show") or "[]")
    ):
        if time.monotonic() < deadline:
            time.sleep(0.5)
            continue
        raise RefusedError(
            f"The lab's network {settings.network} is in use on this machine: {taken}.",
            "If another lab uses it, stop that lab: scripts/lab down --folder ITS_FOLDER\n"
            "Or use another network: scripts/lab up --network 172.24.8.0/22",
        )


def packet_filter(settings: Settings) -> str:
    """The lab's table: guests share the machine's address, and nobody connects from outside."""
    interface, network = settings.interface, settings.network
    return f"""table ip {interface} {{
  chain outgoing {{
    type nat hook postrouting priority srcnat;
    ip saddr {network} oifname != "{interface}" masquerade
  }}
  chain passing {{
    type filter hook forward priority filter;
    oifname "{interface}" ct state established,related accept
    oifname "{interface}" drop
  }}
}}
"""


def present(settings: Settings) -> bool:
    return Path(f"/sys/class/net/{settings.interface}").exists()


def connect(layout: Layout, pid: int) -> None:
    """Connect the namespace of process `pid` to this machine, if it is not connected."""
    settings = layout.settings
    interface, prefix = settings.interface, settings.link.prefixlen
    inside = ("nsenter", f"--target={pid}", "--net", "--")
    if not present(settings):
        _run(
            "ip",
            "link",
            "add",
            interface,
            "type",
            "veth",
            "peer",
            "name",
            INSIDE,
            "netns",
            str(pid),
        )
    # The owner, so that `down` of another lab does not remove it.
    _run("ip", "link", "set", interface, "alias", str(layout.folder))
    _run("ip", "address", "replace", f"{settings.host_address}/{prefix}", "dev", interface)
    _run("ip", "link", "set", interface, "up")
    _run(*inside, "ip", "address", "replace", f"{settings.api_address}/{prefix}", "dev", INSIDE)
    _run(*inside, "ip", "link", "set", INSIDE, "up")
    _run(*inside, "ip", "route", "replace", "default", "via", str(settings.host_address))
    _run(*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    _run("ip", "route", "replace", str(settings.external), "via", str(settings.api_address))
    _remove_filter(interface)
    _run("nft", "-f", "-", feed=packet_filter(settings))
    _open_firewall(interface)
    if FORWARDING.read_text().strip() != "1":
        SAVED_FORWARDING.write_text(FORWARDING.read_text())
        FORWARDING.write_text("1\n")


def _firewall_rules(interface: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return ("-i", interface, "-j", "ACCEPT"), ("-o", interface, "-j", "ACCEPT")


def _open_firewall(interface: str) -> None:
    """Allow the lab's traffic if this machine drops forwarded packets, as Docker configures."""
    saved = subprocess.run(
        ["iptables-save", "-t", "filter"], capture_output=True, text=True, check=False
    ).stdout
    if ":FORWARD DROP" not in saved:
        return
    for rule in _firewall_rules(interface):
        if subprocess.run(
            ["iptables", "-C", "FORWARD", *rule], capture_output=True, check=False
        ).returncode:
            _run("iptables", "-I", "FORWARD", *rule)


def _remove_filter(interface: str) -> None:
    subprocess.run(["nft", "delete", "table", "ip", interface], capture_output=True, check=False)


def _belongs_to_another_lab(layout: Layout) -> bool:
    alias = Path(f"/sys/class/net/{layout.settings.interface}/ifalias")
    owner = alias.read_text().strip() if alias.exists() else ""
    return owner not in ("", str(layout.folder))


def disconnect(layout: Layout) -> None:
    """Undo the changes to this machine."""
    interface = layout.settings.interface
    if _belongs_to_another_lab(layout):
        return
    # The kernel removes it with the lab's network namespace, but only after a while.
    subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)
    _remove_filter(interface)
    saved = subprocess.run(
        ["iptables-save", "-t", "filter"], capture_output=True, text=True, check=False
    ).stdout
    if interface in saved:
        for rule in _firewall_rules(interface):
            subprocess.run(["iptables", "-D", "FORWARD", *rule], capture_output=True, check=False)
    others = list(Path("/sys/class/net").glob("stacklab*"))
    if SAVED_FORWARDING.exists() and not others:
        FORWARDING.write_text(SAVED_FORWARDING.read_text())
        SAVED_FORWARDING.unlink()
