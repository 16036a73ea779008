"""A running container of the service, and what can be asked of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from container_engine import Engine

START_SECONDS = 120


@contextmanager
def running(engine: Engine, image: str) -> Iterator[Container]:
    """The service in one container, as docs/containers.md starts it; ready."""
    flags = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--publish=5100")
    name = engine.docker("run", "--detach", *flags, image).strip()
    try:
        container = Container(engine, name)
        container.wait_ready()
        yield container
    finally:
        engine.docker("rm", "--force", "--volumes", name)


class Container:
    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        port = engine.docker("port", name, "5100/tcp").splitlines()[0].rpartition(":")[2]
        self.url = f"http://{engine.address}:{port}"

    def python(self, program: str) -> str:
        """Run a program in the container; return what it prints."""
        return self._engine.docker("exec", self._name, "python", "-c", program)

    def get(self, path: str, **parameters: Any) -> Any:
        answer = httpx.get(self.url + path, params=parameters, timeout=30, trust_env=False)
        answer.raise_for_status()
        return json.loads(answer.text)

    def wait_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.get("/ready")
                return
            except httpx.HTTPError as error:
                if time.monotonic() > until:
                    log = self._engine.docker("logs", self._name)
                    raise AssertionError(f"not ready: {error}\n{log}") from error
                time.sleep(0.3)
