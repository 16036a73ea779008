"""The Compose file on an engine, as a user would run it."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
from container_engine import Engine

from tests.support.images import Images
from tests.support.service import ROOT

COMPOSE = "/usr/bin/docker-compose"
FOLDER = ROOT / "production_server"
START_SECONDS = 120


@dataclass(frozen=True)
class Composed:
    """A project that runs."""

    engine: Engine
    name: str
    variables: dict[str, str]
    more_files: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://{self.engine.address}:{self.variables['STACKSERVE_PORT']}"

    def run(self, *arguments: str, timeout: float = 300) -> str:
        files = [f"--file={name}" for name in ("docker-compose.yml", *self.more_files)]
        command = [COMPOSE, "--no-ansi", f"--project-name={self.name}", *files, *arguments]
        return self.engine.run(command, folder=FOLDER, more=self.variables, timeout=timeout)

    def scale(self, workers: int) -> None:
        self.run("up", "--detach", "--no-build", "--scale", f"worker={workers}")

    def containers(self, service: str) -> list[str]:
        """The ids of the service's containers."""
        return self.run("ps", "--quiet", service).split()

    def secret(self, name: str) -> str:
        read = f"print(open('/run/secrets/{name}').read())"
        return self.run("exec", "-T", "web", "python", "-c", read).strip()

    @cached_property
    def token(self) -> str:
        """A token for operators."""
        words = ("tokens", "create", "test", "--scope", "operate")
        return self.run("exec", "-T", "web", "python", "-m", "production_server", *words).strip()

    def kill(self, container: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal a container's program from outside. After `docker kill` it would stay down."""
        pid = int(self.engine.inspect(container)["State"]["Pid"])
        # Docker's init has the service as its only child.
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[0]), number)

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        eventually_ready(self.url, lambda: self.run("logs", "--tail=30"), timeout)


def eventually_ready(url: str, logs: Callable[[], str], timeout: float = START_SECONDS) -> None:
    until = time.monotonic() + timeout
    while True:
        try:
            if httpx.get(f"{url}/ready", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < until, logs()
        time.sleep(0.3)


@contextmanager
def composed(
    images: Images, name: str, port: int, *more_files: str, **more: str
) -> Iterator[Composed]:
    """Start the whole service; delete its containers, networks and volumes at the end."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "service.env"
        settings.write_text("STACKSERVE_CHUNK_ROWS=1000\n")
        variables = {
            "STACKSERVE_IMAGE": images.image,
            "STACKSERVE_BROKER_IMAGE": images.broker,
            "STACKSERVE_PORT": str(port),
            "STACKSERVE_SETTINGS": str(settings),
            **more,
        }
        running = Composed(images.engine, name, variables, more_files)
        try:
            running.scale(1)
            running.wait_ready()
            yield running
        finally:
            running.run("down", "--volumes", "--timeout=10")
