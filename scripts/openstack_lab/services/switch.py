"""Open vSwitch in user space, which needs no kernel module, and the lab's bridges."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.namespace import own_environment
from openstack_lab.services.common import environment
from openstack_lab.unit import Check, Step, Unit

DATABASE = "/etc/openvswitch/lab.db"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
SOCKET = "/run/openvswitch/db.sock"
BRIDGES = ("br-int", "br-ex")


def units(lab: Lab) -> list[Unit]:
    return [
        Unit(
            name="switch-database",
            title="Open vSwitch database",
            # New at each start: the old one lists ports of namespaces that no longer exist.
            steps=(
                Step(("rm", "-f", DATABASE, f"{DATABASE}.~lock~")),
                Step(("ovsdb-tool", "create", DATABASE, SCHEMA)),
            ),
            environment=environment(lab),
            each_start=True,
        ),
        Unit(
            name="ovsdb",
            title="Open vSwitch database server",
            command=(
                "ovsdb-server",
                DATABASE,
                f"--remote=punix:{SOCKET}",
                "--remote=ptcp:6640:127.0.0.1",
                "--no-chdir",
            ),
            environment=environment(lab),
            requires=("switch-database",),
            check=Check("tcp", "127.0.0.1:6640"),
        ),
        Unit(
            name="switch",
            title="Open vSwitch",
            command=("ovs-vswitchd", f"unix:{SOCKET}", "--no-chdir"),
            environment=environment(lab),
            requires=("ovsdb",),
        ),
        Unit(
            name="bridges",
            title="Bridges",
            steps=(
                Step((str(lab.layout.python), "-m", "openstack_lab.orphan_ports")),
                Step(("ovs-vsctl", "--timeout=30", "--no-wait", "init")),
                *(
                    Step(
                        (
                            "ovs-vsctl",
                            "--timeout=30",
                            "--may-exist",
                            "add-br",
                            bridge,
                            "--",
                            "set",
                            "bridge",
                            bridge,
                            "datapath_type=netdev",
                        )
                    )
                    for bridge in BRIDGES
                ),
                Step(("ip", "address", "replace", f"{lab.settings.gateway}/24", "dev", "br-ex")),
                Step(("ip", "link", "set", "br-ex", "up")),
                # There is no hardware to compute checksums, and packets without them are dropped.
                Step(("ethtool", "-K", "br-ex", "tx", "off")),
            ),
            environment=own_environment(lab.layout),
            requires=("switch",),
            each_start=True,
        ),
        Unit(
            name="taps",
            title="Guest network devices",
            command=(str(lab.layout.python), "-m", "openstack_lab.taps"),
            environment=own_environment(lab.layout),
            requires=("switch",),
        ),
    ]
