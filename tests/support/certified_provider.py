"""The certified OpenID Connect provider of the npm registry, on this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from production_server.local.rabbitmq import free_port
from tests.support.provider_process import serving
from tests.support.service import ROOT

SOURCE = ROOT / "tests" / "data" / "identity_provider"
# The client of the pages, and that of programs with its secret.
PAGES = "pages"
PROGRAM = ("course", "of-a-test")
AUDIENCE = "urn:stackserve"


@contextmanager
def certified_provider(folder: Path, callback: str = "http://127.0.0.1/") -> Iterator[str]:
    """Install and run it; gives its issuer. The pages' client comes back to `callback`."""
    shutil.copytree(SOURCE, folder)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(install, cwd=folder, check=True, timeout=300)
    port = free_port()
    # Another site than that of the service, which is on 127.0.0.1.
    issuer = f"http://localhost:{port}"
    with serving(["node", "server.mjs", str(port), callback], folder, f"{issuer}/jwks"):
        yield issuer


def sign_in(page: Page) -> None:
    """Sign in on its pages, in a browser that was sent there. They accept any password."""
    page.locator("input[name=login]").fill("ann")
    page.locator("input[name=password]").fill("anything")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()
