"""The certified OpenID Connect provider of the npm registry, on this machine."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from production_server.local.rabbitmq import free_port
from tests.support.service import ROOT

SOURCE = ROOT / "tests" / "data" / "identity_provider"
START_SECONDS = 30
# The client of the pages, and that of programs with its secret.
PAGES = "pages"
PROGRAM = ("course", "of-a-test")


@contextmanager
def certified_provider(folder: Path, callback: str = "http://127.0.0.1/") -> Iterator[str]:
    """Install and run it; gives its issuer. The pages' client comes back to `callback`."""
    shutil.copytree(SOURCE, folder)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(install, cwd=folder, check=True, timeout=300)
    port = free_port()
    process = subprocess.Popen(
        ["node", "server.mjs", str(port), callback], cwd=folder, stderr=subprocess.DEVNULL
    )
    # Another site than that of the service, which is on 127.0.0.1.
    issuer = f"http://localhost:{port}"
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(issuer):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        yield issuer
    finally:
        process.terminate()
        process.wait(10)


def _answers(issuer: str) -> bool:
    try:
        return httpx.get(f"{issuer}/jwks").is_success
    except httpx.HTTPError:
        return False
