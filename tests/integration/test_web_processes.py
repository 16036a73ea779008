"""The condition that makes it safe for the web tier to fork."""

from __future__ import annotations

import subprocess
import sys

from tests.support.service import ROOT


def test_importing_the_application_starts_no_thread() -> None:
    """Forking is safe only while the parent has one thread."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import threading, production_server.web.app; print(threading.active_count())",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"
