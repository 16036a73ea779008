"""Neutron, the network service: routers, floating IPs, DHCP, security groups, metadata."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.namespace import own_environment
from openstack_lab.services.common import api, config_of, environment
from openstack_lab.services.database import schema
from openstack_lab.unit import Check, Step, Unit

AGENTS = {
    "openvswitch": (
        "neutron-openvswitch-agent",
        "Neutron Open vSwitch agent",
        "openvswitch_agent.ini",
    ),
    "dhcp": ("neutron-dhcp-agent", "Neutron DHCP agent", "dhcp_agent.ini"),
    "l3": ("neutron-l3-agent", "Neutron L3 agent", "l3_agent.ini"),
    "metadata": ("neutron-metadata-agent", "Neutron metadata agent", "metadata_agent.ini"),
}
# Agents that set up ports only once, so they restart after the switch. The Open vSwitch agent
# detects a restart, but loses the external network if ports come back while it recovers.
PLUGGERS = ("openvswitch", "dhcp", "l3")


def units(lab: Lab) -> list[Unit]:
    conf = lab.layout.conf("neutron")
    server = (
        "--config-file",
        str(conf / "neutron.conf"),
        "--config-file",
        str(conf / "ml2_conf.ini"),
    )
    return [
        schema(
            lab,
            "neutron-schema",
            "Neutron database schema",
            ("neutron",),
            (Step((lab.layout.bin("neutron-db-manage"), *server, "upgrade", "heads")),),
        ),
        api(
            lab,
            "neutron",
            "Neutron",
            "neutron.wsgi.api:application",
            {
                "OS_NEUTRON_CONFIG_DIR": str(conf),
                "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2_conf.ini",
            },
            ("neutron-schema", "queue"),
            config=config_of(conf),
        ),
        Unit(
            name="neutron-rpc",
            title="Neutron RPC server",
            command=(lab.layout.bin("neutron-rpc-server"), *server),
            environment=environment(lab),
            requires=("neutron-schema", "queue"),
            # An agent that calls before the server consumes its queue waits a minute for a reply.
            check=Check("consumer", "q-reports-plugin", lab.broker),
            config=config_of(conf),
        ),
        *(_agent(lab, name) for name in AGENTS),
    ]


def _agent(lab: Lab, name: str) -> Unit:
    program, title, file = AGENTS[name]
    conf = lab.layout.conf("neutron")
    return Unit(
        name=f"neutron-{name}",
        title=title,
        command=(
            lab.layout.bin(program),
            "--config-file",
            str(conf / "neutron.conf"),
            "--config-file",
            str(conf / file),
        ),
        environment=environment(lab),
        requires=("bridges", "neutron-rpc"),
        tied_to=("switch-database", "switch") if name in PLUGGERS else (),
        config=config_of(conf),
    )


def fake_agent(lab: Lab) -> list[Unit]:
    """An agent for the fake host: Neutron binds ports only on hosts that have one."""
    conf = lab.layout.conf("neutron")
    return [
        Unit(
            name="neutron-fake-agent",
            title="Neutron agent of the fake host",
            command=(
                str(lab.layout.python),
                "-m",
                "openstack_lab.fake_agent",
                str(conf / "neutron.conf"),
                lab.fake_host,
            ),
            environment=own_environment(lab.layout),
            requires=("neutron-rpc",),
            config=config_of(conf),
        )
    ]
