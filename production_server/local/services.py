"""The real thing on this machine: a RabbitMQ node, web tier, workers and recorder as processes."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from production_server.local import rabbitmq
from production_server.local.console import Console
from production_server.local.readiness import announce
from production_server.local.supervisor import Supervisor
from production_server.model.registry import Registry
from production_server.settings import Settings


def serve_services(settings: Settings, console: Console) -> None:
    """Serve until SIGINT or SIGTERM. A given broker URL is used; else a node of our own starts."""
    settings.home.mkdir(parents=True, exist_ok=True)
    Registry(settings.registry_path).seed()
    node: rabbitmq.RabbitNode | None = None
    if settings.embedded:
        node = _start_node(settings, console)
        settings = settings.model_copy(update={"broker_url": node.url})
    try:
        _supervise(settings, console)
    finally:
        if node is not None:
            console.step("Stopping RabbitMQ")
            node.stop()


def _start_node(settings: Settings, console: Console) -> rabbitmq.RabbitNode:
    if not rabbitmq.installed():
        console.step("Installing RabbitMQ from the system's packages")
        rabbitmq.install()
    console.step("Starting RabbitMQ")
    node = rabbitmq.RabbitNode(settings.home / "rabbitmq")
    node.start()
    return node


def _supervise(settings: Settings, console: Console) -> None:
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

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop_soon()

    previous = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    threading.Thread(
        target=announce,
        args=(settings, console, lambda: supervisor.stopping),
        name="ready",
        daemon=True,
    ).start()
    try:
        supervisor.run()
    finally:
        console.step("Stopped web, workers and recorder")
        for number, handler in previous.items():
            signal.signal(number, handler)
