"""Serving on this machine: its output, its clean shutdown and its errors."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from production_server.local import rabbitmq
from tests.support.service import ROOT, Service


def wait_for_output(service: Service, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in service.logs():
        assert time.monotonic() < deadline, service.logs()
        time.sleep(0.1)


def test_embedded_reports_that_it_is_ready_and_stops_cleanly(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        assert httpx.get(f"{service.url}/ping").text == "pong\n"
        wait_for_output(service, f"Ready: {service.url}/predictions")
        process = psutil.Process(service.process.pid)  # type: ignore[union-attr]
        assert process.children() == []
        assert service.stop() == 0
    assert "Traceback" not in service.logs()


def test_stopped_service_leaves_no_process_behind(
    needs: Callable[[object, str], None], tmp_path: Path
) -> None:
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    with Service(tmp_path, "--services", "--workers", "1") as service:
        assert len(service.processes("worker")) == 1
        started = psutil.Process(service.process.pid).children(recursive=True)  # type: ignore[union-attr]
        assert service.stop() == 0
    _, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []


def test_closed_terminal_leaves_no_process_behind(
    needs: Callable[[object, str], None], tmp_path: Path
) -> None:
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    port = rabbitmq.free_port()
    environment = os.environ | {"STACKSERVE_HOME": str(tmp_path)}
    serve = ["-m", "production_server", "serve", "--services", "--workers", "1"]
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` ignores it
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, *serve, "--port", str(port)], environment)
    shown = b""
    while b"Ready: http" not in shown:
        shown += os.read(terminal, 1000)
    started = psutil.Process(child).children(recursive=True)
    assert len(started) > 3
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    _, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []


def test_a_killed_web_tier_is_restarted(services: Service) -> None:
    master = services.processes("web")[0]
    for process in [*master.children(), master]:
        process.kill()
    services.wait_ready(60)


def test_a_port_in_use_is_reported_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "production_server", "serve", "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def test_run_task_goes_through_the_queue(services: Service) -> None:
    broker = next(
        value
        for process in services.processes("recorder")
        if (value := process.environ().get("STACKSERVE_BROKER_URL"))
    )
    output = services.verb("run-task", "--broker", broker, "glucose=190")
    assert '"version": "diabetes-1"' in output
    assert '"glucose": 190.0' in output
