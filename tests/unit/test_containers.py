"""The files for containers that can be checked without an engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from openstack_client.containers.context import STEPS
from tests.support.service import ROOT

HADOLINT = Path(sys.executable).with_name("hadolint")


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    command = [HADOLINT, ROOT / "production_server" / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_build_from_a_checkout_gets_the_same_files() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert allowed == {"production_server", *(f"cloud-init/{name}" for name in STEPS)}
