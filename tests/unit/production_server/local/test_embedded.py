"""The service in one process, whose threads start together."""

from __future__ import annotations

import subprocess
import sys

SHOW = "import sys, production_server.local.embedded; print(*sorted(sys.modules))"


def test_no_two_threads_import_celerys_events() -> None:
    """One of them got Python's _DeadlockError, and the service was not ready for two minutes."""
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    imported = done.stdout.split()
    assert {"celery.events.dispatcher", "celery.events.receiver"} <= set(imported)
