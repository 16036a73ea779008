"""Waits until the agents and hosts report through the API that they are alive."""

from __future__ import annotations

import time
from typing import Any

from openstack_lab.errors import BrokenServiceError
from openstack_lab.lab import FAKE_HOST, HOST, Lab

AGENTS = {
    "neutron-openvswitch-agent",
    "neutron-dhcp-agent",
    "neutron-l3-agent",
    "neutron-metadata-agent",
}


def wanted(lab: Lab) -> set[tuple[str, str]]:
    """Program and host of everything that must be alive before a server can be created."""
    chosen = lab.choices.hypervisor
    alive = {(program, HOST) for program in AGENTS}
    alive |= {("nova-conductor", HOST), ("nova-scheduler", HOST)}
    if chosen.real:
        alive.add(("nova-compute", HOST))
    if chosen.fake:
        alive |= {("nova-compute", FAKE_HOST), ("neutron-openvswitch-agent", FAKE_HOST)}
    return alive


def alive(admin: Any) -> set[tuple[str, str]]:
    agents = {(a.binary, a.host) for a in admin.network.agents() if a.is_alive}
    services = {(s.binary, s.host) for s in admin.compute.services() if s.state == "up"}
    return agents | services


def wait_for_agents(admin: Any, lab: Lab, patience: float = 240) -> None:
    deadline = time.monotonic() + patience
    while missing := wanted(lab) - alive(admin):
        if time.monotonic() > deadline:
            names = ", ".join(f"{program} on {host}" for program, host in sorted(missing))
            raise BrokenServiceError(
                f"Not alive after {patience:.0f} s: {names}.",
                "Read its log: scripts/lab logs NAME.",
            )
        time.sleep(0.5)


def wait_for_mapped_hosts(admin: Any, lab: Lab, patience: float = 120) -> None:
    """Nova schedules servers to a host once it is mapped to a cell and listed as a hypervisor."""
    chosen = lab.choices.hypervisor
    hosts = {HOST} if chosen.real else set()
    hosts |= {FAKE_HOST} if chosen.fake else set()
    deadline = time.monotonic() + patience
    while hosts - {item.name for item in admin.compute.hypervisors()}:
        if time.monotonic() > deadline:
            raise BrokenServiceError(
                "Nova did not map its hosts to the cell.", "Read: scripts/lab logs nova-scheduler"
            )
        time.sleep(0.5)
