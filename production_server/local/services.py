"""The real thing on this machine: a RabbitMQ node, web tier, workers and recorder as processes."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from production_server.errors import ServiceError
from production_server.local import rabbitmq
from production_server.local.console import Console
from production_server.local.rabbitmq import RabbitNode
from production_server.local.readiness import announce
from production_server.local.signals import stop_signals
from production_server.local.supervisor import Supervisor
from production_server.model.registry import Registry
from production_server.settings import Settings


def serve_services(settings: Settings, console: Console) -> None:
    """Serve until told to stop. A given broker URL is used; else a node of our own starts."""
    settings.home.mkdir(parents=True, exist_ok=True)
    Registry(settings.registry_path).seed()
    if not settings.embedded:
        _supervise(settings, console)
        return
    node = _launched(settings, console)
    try:
        _supervise(settings.model_copy(update={"broker_url": node.url}), console, node)
    finally:
        console.step("Stopping RabbitMQ")
        node.stop()


def _launched(settings: Settings, console: Console) -> RabbitNode:
    if not rabbitmq.installed():
        console.step("Installing RabbitMQ from the system's packages")
        rabbitmq.install()
    console.step("Starting RabbitMQ")
    node = RabbitNode(settings.home / "rabbitmq")
    node.launch()
    return node


def _supervise(settings: Settings, console: Console, node: RabbitNode | None = None) -> None:
    """Run the processes; those who come before the node is there try again by themselves."""
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(settings.environment(), logs, console)
    own = [sys.executable, "-m", "production_server"]
    console.step(
        f"Starting {settings.worker_count} workers, {settings.web_process_count} web processes "
        f"and the recorder; logs: {logs}"
    )
    for number in range(1, settings.worker_count + 1):
        supervisor.add(f"worker-{number}", [*own, "worker", "--number", str(number)])
    supervisor.add("recorder", [*own, "recorder"])
    supervisor.add("web", [*own, "web"])
    failed: list[ServiceError] = []

    def wait_for_node(node: RabbitNode) -> None:
        try:
            node.wait()
        except ServiceError as error:
            failed.append(error)
            supervisor.stop_soon()

    def tell_ready() -> None:
        announce(settings, console, lambda: supervisor.stopping)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop_soon()

    previous = {number: signal.signal(number, on_signal) for number in stop_signals()}
    if node is not None:
        threading.Thread(target=wait_for_node, args=(node,), daemon=True).start()
    threading.Thread(target=tell_ready, daemon=True).start()
    try:
        supervisor.run()
    finally:
        console.step("Stopped web, workers and recorder")
        for number, handler in previous.items():
            signal.signal(number, handler)
    # Not a stop that somebody asked for while the node was on its way.
    if failed:
        raise failed[0]
