"""Sends the heartbeat of an Open vSwitch agent for the fake host.

Neutron binds ports only on hosts whose agent is alive. The fake hypervisor has no switch, so
this agent does nothing else.
"""

from __future__ import annotations

import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

PERIOD = 15.0


def state(host: str, first: bool) -> dict[str, Any]:
    """The state that an agent reports to Neutron."""
    return {
        "binary": "neutron-openvswitch-agent",
        "host": host,
        "topic": "N/A",
        "agent_type": "Open vSwitch agent",
        "uuid": str(uuid.uuid4()),
        "configurations": {
            "bridge_mappings": {},
            "tunnel_types": [],
            "datapath_type": "netdev",
            "integration_bridge": "br-int",
            "devices": 0,
            "in_distributed_mode": False,
        },
        **({"start_flag": True} if first else {}),
    }


def main(arguments: list[str]) -> None:
    """`python -m openstack_lab.fake_agent NEUTRON_CONF HOST`."""
    import oslo_messaging  # type: ignore[import-not-found]  # in the lab's environment
    from oslo_config import cfg

    config, host = arguments
    cfg.CONF(["--config-file", config], project="neutron")
    oslo_messaging.set_transport_defaults("neutron")
    transport = oslo_messaging.get_rpc_transport(cfg.CONF)
    target = oslo_messaging.Target(topic="q-reports-plugin", version="1.0")
    client = oslo_messaging.get_rpc_client(transport, target)
    first = True
    while True:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        client.prepare().cast(
            {}, "report_state", agent_state={"agent_state": state(host, first)}, time=now
        )
        first = False
        time.sleep(PERIOD)


if __name__ == "__main__":
    main(sys.argv[1:])
