"""A real registry of images with one account, in the network of an engine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from container_engine import Engine, EngineError

PROGRAM = Path("/usr/bin/docker-registry")
# Docker speaks plain HTTP with this network alone. The engine has one of its own.
ADDRESS = "127.0.0.1:5000"
USERNAME, PASSWORD = "teacher", "correct horse"
# PASSWORD by bcrypt, which no library of the tests has.
HASHED = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
START_SECONDS = 60


@contextmanager
def registry(engine: Engine, folder: Path) -> Iterator[str]:
    """Run a registry; yields its host and port."""
    (folder / "accounts").write_text(f"{USERNAME}:{HASHED}\n")
    (folder / "config.yml").write_text(
        f"""
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder / "images"}}}}}
http: {{addr: "{ADDRESS}"}}
auth: {{htpasswd: {{realm: images, path: {folder / "accounts"}}}}}
"""
    )
    command = [*engine.inside(), str(PROGRAM), "serve", str(folder / "config.yml")]
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(engine, process, folder / "registry.log")
        yield ADDRESS
    finally:
        process.terminate()
        process.wait()


def _wait(engine: Engine, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            engine.run(["curl", "-s", f"http://{ADDRESS}/v2/"])
            return
        except EngineError as error:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(log.read_text()[-2000:]) from error
            time.sleep(0.1)
