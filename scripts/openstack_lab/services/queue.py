"""RabbitMQ for the lab only: its own node, loopback only."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.services.common import config_of, environment
from openstack_lab.unit import Check, Step, Unit


def units(lab: Lab) -> list[Unit]:
    data, conf = lab.layout.data("rabbitmq"), lab.layout.conf("rabbitmq")
    return [
        Unit(
            name="queue-files",
            title="RabbitMQ data folder",
            steps=(
                Step(("install", "-d", "-o", "rabbitmq", "-g", "rabbitmq", "-m", "700", str(data))),
            ),
            environment=environment(lab),
        ),
        Unit(
            name="queue",
            title="RabbitMQ",
            command=("/usr/lib/rabbitmq/bin/rabbitmq-server",),
            environment=environment(
                lab,
                HOME=str(data),
                RABBITMQ_NODENAME="rabbit@localhost",
                RABBITMQ_CONF_ENV_FILE="/dev/null",
                RABBITMQ_CONFIG_FILE=str(conf / "rabbitmq.conf"),
                RABBITMQ_ENABLED_PLUGINS_FILE=str(conf / "enabled_plugins"),
                RABBITMQ_MNESIA_BASE=str(data / "mnesia"),
                RABBITMQ_LOG_BASE=str(data / "log"),
                # Two scheduler threads without busy waiting. With the defaults, idling uses a core.
                RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=(
                    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
                ),
            ),
            user="rabbitmq",
            requires=("queue-files",),
            check=Check("tcp", "127.0.0.1:5672"),
            patience=10,
            config=config_of(conf),
        ),
    ]
