"""Releases side by side in a folder, as on a server, and the web tier that runs from them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from tests.support.service import ROOT, Service

STOP_SECONDS = 30


def make_release(root: Path, name: str, *, updated: bool = True) -> Path:
    """A copy of this checkout's code; one that an update brought knows its hash."""
    folder = root / "releases" / name
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "production_server", folder / "production_server", ignore=ignored)
    if updated:
        (folder / "code-hash").write_text(name)
    return folder


def make_live(root: Path, name: str) -> None:
    link = root / "app.new"
    link.symlink_to(f"releases/{name}")
    link.replace(root / "app")


def wait_ready(url: str, logs: Callable[[], str]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{url}/ready", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < until, logs()
        time.sleep(0.2)


class WebTier:
    """The web tier of a running service, in processes of its own that can be reloaded.

    It notes what it tells systemd, and follows its main process as systemd would.
    """

    def __init__(self, service: Service, root: Path, port: int, processes: int = 2) -> None:
        self.root = root
        self.url = f"http://127.0.0.1:{port}"
        self.log = root / "web.log"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = str(root / "notify")
        self._notify.bind(address)
        self._notify.settimeout(60)
        self._environment = {
            **service.environment,
            **broker_of(service),
            "STACKSERVE_PORT": str(port),
            "STACKSERVE_WEB_PROCESSES": str(processes),
            "NOTIFY_SOCKET": address,
        }
        self.process: psutil.Process | None = None

    def __enter__(self) -> WebTier:
        with self.log.open("ab") as output:
            started = subprocess.Popen(
                [sys.executable, "-m", "production_server", "web"],
                cwd=(self.root / "app").resolve(),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._first = started
        self.process = psutil.Process(started.pid)
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.is_running():
            self.process.send_signal(signal.SIGTERM)
        if self.process.pid == self._first.pid:
            self._first.wait(STOP_SECONDS)
        else:
            psutil.wait_procs([self.process], STOP_SECONDS)
            self._first.wait(STOP_SECONDS)
        self._notify.close()

    def wait_ready(self) -> None:
        wait_ready(self.url, lambda: self.log.read_text(errors="replace")[-3000:])

    def reload(self) -> str:
        """Ask for newer code. Return the first message that says what came of it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR2)
        while True:
            message = self._notify.recv(4096).decode()
            if message.startswith("MAINPID="):
                self.process = psutil.Process(int(message.split()[0].partition("=")[2]))
                return message
            if "did not start" in message:
                return message

    @property
    def code(self) -> str:
        return str(httpx.get(f"{self.url}/alive", timeout=10).json()["code_hash"])


def broker_of(service: Service) -> dict[str, str]:
    """How the web tier of a service with processes of its own reaches its RabbitMQ."""
    web = service.processes("web")[0]
    return {
        name: value
        for name, value in web.environ().items()
        if name in ("STACKSERVE_BROKER_URL", "STACKSERVE_EMBEDDED")
    }
