"""Neutron: networks, routers, floating IPs, DHCP, security groups, metadata."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.namespace import own_environment
from openstack_lab.services.common import api, config_of, environment
from openstack_lab.services.database import schema
from openstack_lab.unit import Check, Step, Unit

AGENTS = {
    "openvswitch": ("neutron-openvswitch-agent", "Neutron's switch agent", "openvswitch_agent.ini"),
    "dhcp": ("neutron-dhcp-agent", "Neutron's DHCP agent", "dhcp_agent.ini"),
    "l3": ("neutron-l3-agent", "Neutron's router agent", "l3_agent.ini"),
    "metadata": ("neutron-metadata-agent", "Neutron's metadata agent", "metadata_agent.ini"),
}
# Those that plug and wire ports once. The switch agent notices by itself that the switch was
# restarted, but leaves the outer network cut when ports come back while it recovers.
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
            "Neutron's tables",
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
            title="Neutron's server for agents",
            command=(lab.layout.bin("neutron-rpc-server"), *server),
            environment=environment(lab),
            requires=("neutron-schema", "queue"),
            # An agent that calls before somebody listens waits a minute for its answer.
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
    """Nova's pretended host needs an agent there, or Neutron binds no port on it."""
    conf = lab.layout.conf("neutron")
    return [
        Unit(
            name="neutron-fake-agent",
            title="Switch agent of the fake host",
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
