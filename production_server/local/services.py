"""Runs RabbitMQ, the web tier, the workers and the recorder as processes on this machine."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from production_server.errors import ServiceError
from production_server.local import rabbitmq
from production_server.local.console import Console
from production_server.local.rabbitmq import RabbitNode
from production_server.local.readiness import report_ready
from production_server.local.signals import stop_signals
from production_server.local.supervisor import Supervisor
from production_server.model.registry import Registry
from production_server.settings import Settings


def serve_services(settings: Settings, console: Console) -> None:
    """Serve until a signal stops it. Without a broker URL, start a RabbitMQ node first."""
    settings.home.mkdir(parents=True, exist_ok=True)
    Registry(settings.registry_path).seed()
    if not settings.embedded:
        _supervise(settings, console)
        return
    node = _launch_node(settings, console)
    try:
        _supervise(settings.model_copy(update={"broker_url": node.url}), console, node)
    finally:
        console.step("Stopping RabbitMQ")
        node.stop()


def _launch_node(settings: Settings, console: Console) -> RabbitNode:
    if not rabbitmq.installed():
        console.step("Installing RabbitMQ from the system's packages")
        rabbitmq.install()
    console.step("Starting RabbitMQ")
    node = RabbitNode(settings.home / "rabbitmq")
    node.launch()
    return node


def _supervise(settings: Settings, console: Console, node: RabbitNode | None = None) -> None:
    """Run the processes. They start together with the node, and retry until it accepts them."""
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(settings.environment(), logs, console)
    python = [sys.executable, "-m", "production_server"]
    console.step(
        f"Starting {settings.worker_count} workers, {settings.web_process_count} web processes "
        f"and the recorder; logs: {logs}"
    )
    for number in range(1, settings.worker_count + 1):
        supervisor.add(f"worker-{number}", [*python, "worker", "--number", str(number)])
    supervisor.add("recorder", [*python, "recorder"])
    supervisor.add("web", [*python, "web"])
    supervisor.add("trainer", [*python, "trainer"])
    failed: list[ServiceError] = []

    def wait_for_node(node: RabbitNode) -> None:
        try:
            node.wait()
        except ServiceError as error:
            failed.append(error)
            supervisor.stop_soon()

    def report() -> None:
        report_ready(settings, console, lambda: supervisor.stopping)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop_soon()

    previous = {number: signal.signal(number, on_signal) for number in stop_signals()}
    if node is not None:
        threading.Thread(target=wait_for_node, args=(node,), daemon=True).start()
    threading.Thread(target=report, daemon=True).start()
    try:
        supervisor.run()
    finally:
        console.step("Stopped the web tier, the workers and the recorder")
        for number, handler in previous.items():
            signal.signal(number, handler)
    # The node failed to start. This was not a stop by a signal.
    if failed:
        raise failed[0]
