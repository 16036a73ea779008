"""The lab starts in the background while the tests before its own run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest
from openstack_lab.settings import Hypervisor

from tests.support.cloud import FIRST_START_SECONDS, ROOT, SCRIPT, LabCloud, the_lab, why_not

HERE = ROOT / "tests" / "lab"
# Tests that boot the lab's image, in the lab or beside it.
REAL = ("test_contextualize", "test_lab_guest", "test_lab_down", "test_real")
# Seconds that it may take to end in the middle of a start.
STOP = 120


class EarlyLab:
    """`scripts/lab up`, unless the lab runs already or no test needs it."""

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        here = [item for item in items if item.path.is_relative_to(HERE)]
        self.cloud: LabCloud = the_lab()
        self._is_ours = bool(here) and not self.cloud.running
        self.hypervisor = Hypervisor.BOTH if any(map(_wants_real, here)) else Hypervisor.FAKE
        self._process: subprocess.Popen[bytes] | None = None
        if self._is_ours and not why_not(self.cloud, self.hypervisor):
            self._process = subprocess.Popen(
                [sys.executable, str(SCRIPT), "up", "--hypervisor", str(self.hypervisor)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def wait(self) -> None:
        """Until it has started or failed. If it failed, starting it once more tells why."""
        if self._process is not None:
            self._process.wait(FIRST_START_SECONDS)

    def end(self) -> None:
        """Leave the lab as it was, also in the middle of its start."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP)
        if self._is_ours and self.cloud.running:
            self.cloud.lab("down")


def _wants_real(item: pytest.Item) -> bool:
    return "real_lab" in getattr(item, "fixturenames", ()) or item.path.name.startswith(REAL)
