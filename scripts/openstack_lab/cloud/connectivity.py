"""Waits until packets pass the routers: after a restart, Neutron reports old port states."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from openstack_lab import control, namespace
from openstack_lab.cloud.networks import PRIVATE, ROUTER
from openstack_lab.credentials import DEMO, FAKE_PROJECT
from openstack_lab.errors import BrokenServiceError
from openstack_lab.lab import Lab

# Seconds. A healthy network passes packets well within this time.
REPAIR_AFTER = 45.0
# Checks in a row, a second apart, that a network must pass after it has failed one: an agent may
# set up a port once more after its first packets.
STEADY = 3


def wait_for_connectivity(admin: Any, lab: Lab, patience: float = 150) -> None:
    """Wait until every router passes packets, because guests request their address only briefly.

    After a crash, an agent sometimes keeps a port that the new switch does not have. Restarting
    the switch makes the agents set up all ports again.
    """
    began = time.monotonic()
    repaired = False
    needed = 1
    while needed:
        broken = [router for router in _routers(admin) if not _connected(admin, lab, router)]
        if not broken:
            needed -= 1
            time.sleep(1 if needed else 0)
            continue
        needed = STEADY
        waited = time.monotonic() - began
        if waited > REPAIR_AFTER and not repaired:
            control.ask(lab.layout.control, "restart", name="switch")
            repaired = True
        if waited > patience:
            raise BrokenServiceError(
                f"The router of project {broken[0].project_id} passes no packets.",
                "Read: scripts/lab logs neutron-l3, neutron-dhcp or neutron-openvswitch",
            )
        time.sleep(0.5)


def _routers(admin: Any) -> list[Any]:
    """The routers that the lab created; users may configure others as they like."""
    own = [admin.identity.find_project(name) for name in (DEMO, FAKE_PROJECT)]
    return [
        router
        for project in own
        if project
        for router in admin.network.routers(name=ROUTER, project_id=project.id)
    ]


def _connected(admin: Any, lab: Lab, router: Any) -> bool:
    """Whether the router reaches the DHCP server on its inner side and this machine outside."""
    dhcp = _dhcp_address(admin, router.project_id)
    return (
        bool(dhcp)
        and all(
            _answers(lab, f"qrouter-{router.id}", address)
            for address in (dhcp, lab.settings.gateway)
        )
        and _settled(admin, router)
    )


def _settled(admin: Any, router: Any) -> bool:
    """Whether the agents have finished with its ports. Setting up a port drops packets.

    Call it after a packet got through: the agent marks a port as down before it sets it up
    again, and as active when it has finished.
    """
    return all(port.status == "ACTIVE" for port in admin.network.ports(device_id=router.id))


def _dhcp_address(admin: Any, project_id: str) -> str:
    private = admin.network.find_network(PRIVATE, project_id=project_id)
    ports = admin.network.ports(network_id=private.id, device_owner="network:dhcp")
    return next((p.fixed_ips[0]["ip_address"] for p in ports if p.status == "ACTIVE"), "")


def _answers(lab: Lab, netns: str, address: object) -> bool:
    ping = ["ip", "netns", "exec", netns, "ping", "-c1", "-W1", str(address)]
    entered = namespace.enter(lab.layout, ping)
    return subprocess.run(entered, capture_output=True, check=False).returncode == 0
