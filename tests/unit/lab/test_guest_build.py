"""A build of the guest image that outlives its `up`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from openstack_lab import lock

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
BUILD = """
import sys
from openstack_lab.guest.build import ensure_guest
from openstack_lab.guest.recipe import Recipe
from openstack_lab.layout import Layout
from openstack_lab.progress import Progress
from openstack_lab.settings import from_environment
ensure_guest(Layout(from_environment(sys.argv[1], environment={})), Recipe(), Progress())
"""


def test_the_next_build_waits_for_one_whose_up_was_killed(tmp_path: Path) -> None:
    """Both use the same folder."""
    unshare = tmp_path / "bin" / "unshare"
    unshare.parent.mkdir()
    unshare.write_text(f"#!/bin/sh\ntouch {tmp_path}/started; sleep 1; touch {tmp_path}/finished\n")
    unshare.chmod(0o755)
    (tmp_path / "log").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(tmp_path)],
        env={"PATH": f"{unshare.parent}:/usr/bin:/bin", "PYTHONPATH": str(SCRIPTS)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    with lock.hold(tmp_path / "cache" / "guest" / ".lock", "scripts/lab up", print):
        assert (tmp_path / "finished").exists()
