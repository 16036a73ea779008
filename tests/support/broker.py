"""Control a test's RabbitMQ node with its own tools."""

from __future__ import annotations

import subprocess

from production_server.local.rabbitmq import SERVER, RabbitNode

ALARMS = {
    "disk": (("set_disk_free_limit", "1000GB"), ("set_disk_free_limit", "1MB")),
    "memory": (
        ("set_vm_memory_high_watermark", "absolute", "1"),
        ("set_vm_memory_high_watermark", "0.9"),
    ),
}


def rabbitmqctl(node: RabbitNode, *arguments: str) -> str:
    done = subprocess.run(
        [str(SERVER.with_name("rabbitmqctl")), "--quiet", *arguments],
        env=node.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def raise_alarm(node: RabbitNode, resource: str) -> None:
    rabbitmqctl(node, *ALARMS[resource][0])


def lift_alarm(node: RabbitNode, resource: str) -> None:
    rabbitmqctl(node, *ALARMS[resource][1])
