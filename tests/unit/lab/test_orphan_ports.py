"""Which links of a namespace are ports of a switch that has ended."""

from __future__ import annotations

from typing import Any

from openstack_lab.orphan_ports import orphans


def link(name: str, kind: str, *flags: str) -> dict[str, Any]:
    return {"ifname": name, "flags": ["BROADCAST", "UP", *flags], "linkinfo": {"info_kind": kind}}


def test_a_tap_that_no_process_has_open_is_an_orphan() -> None:
    links = [
        {"ifname": "lo", "flags": ["LOOPBACK", "UP", "LOWER_UP"]},
        link("tap-live", "tun", "LOWER_UP"),
        link("tap-dead", "tun", "NO-CARRIER"),
        link("veth-down", "veth", "NO-CARRIER"),
    ]
    assert orphans(links) == ["tap-dead"]


def test_an_empty_namespace_has_no_orphans() -> None:
    assert orphans([]) == []
