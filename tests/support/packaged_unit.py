"""What our rabbitmq-server.service does otherwise than the unit of the package that it replaces.

systemd ignores the package's unit on a server, so what a new version changes there has no effect.
This finds such a change: compare the two units then, and take over what a server needs.
"""

from __future__ import annotations

from tests.unit.cloud_init.steps import file

PATH = "/lib/systemd/system/rabbitmq-server.service"
# In Debian 12 and 13, Ubuntu 22.04 and 24.04.
REPLACED = {
    "Description": "RabbitMQ Messaging Server",
    "After": "network.target epmd.socket",
    "Wants": "network.target epmd.socket",
    "RestartSec": "10",
    "ExecStop": "/usr/sbin/rabbitmqctl stop",
    "StandardOutput": "append:/var/log/rabbitmq/rabbitmq-server.log",
    "StandardError": "append:/var/log/rabbitmq/rabbitmq-server.error.log",
}


def replaced(packaged: str) -> dict[str, str]:
    """The settings of the package's unit that ours does not have, or has with another value."""
    ours = settings(file("systemd/rabbitmq-server.service").read_text())
    return {key: value for key, value in settings(packaged).items() if ours.get(key) != value}


def settings(unit: str) -> dict[str, str]:
    lines = [line.split("=", 1) for line in unit.splitlines() if not line.startswith("#")]
    return {line[0]: line[1] for line in lines if len(line) == 2}
