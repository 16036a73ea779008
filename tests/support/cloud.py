"""The lab for tests: started when it is not there, and the plain `openstack` command line on it.

The session fixtures `lab_cloud` (servers are pretended) and `real_lab` (real guests) of
tests/lab/conftest.py hand this out. One lab serves all tests: the project demo-fake is
served by Nova's fake host, the project demo by real guests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openstack_lab import machine, namespace, uplink
from openstack_lab.errors import RefusedError
from openstack_lab.lab import find, load_choices
from openstack_lab.layout import Layout
from openstack_lab.settings import Hypervisor, from_environment

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "lab"
# A fresh machine downloads packages and builds the guest image; a machine of two cores is slow.
FRESH = 1500


@dataclass
class Ended:
    """What a command printed, and how it ended."""

    code: int
    output: str
    errors: str
    seconds: float

    @property
    def rows(self) -> Any:
        return json.loads(self.output)


def run(command: list[str], timeout: float, **variables: str) -> Ended:
    """Run a command with nothing of the caller's cloud in its environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
    began = time.monotonic()
    done = subprocess.run(
        command,
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


@dataclass
class LabCloud:
    """One lab, running or not."""

    layout: Layout
    flags: tuple[str, ...] = field(default=())

    def lab(self, *arguments: str, timeout: float = 120) -> Ended:
        """`scripts/lab VERB ...` on this lab."""
        verb, *rest = arguments
        return run([sys.executable, str(SCRIPT), verb, *self.flags, *rest], timeout)

    def up(self, *arguments: str, timeout: float = FRESH) -> Ended:
        ended = self.lab("up", *arguments, timeout=timeout)
        assert ended.code == 0, ended.errors[-3000:]
        return ended

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self.lab("status", "--json").rows
        return report

    def openstack(self, *arguments: str, cloud: str = "lab", timeout: float = 180) -> Ended:
        """The plain command line, as somebody who has only clouds.yaml."""
        return run(
            [self.layout.bin("openstack"), *arguments],
            timeout,
            OS_CLIENT_CONFIG_FILE=str(self.layout.folder / "clouds.yaml"),
            OS_CLOUD=cloud,
        )

    def rows(self, *arguments: str, cloud: str = "lab", timeout: float = 180) -> Any:
        ended = self.openstack(*arguments, "--format", "json", cloud=cloud, timeout=timeout)
        assert ended.code == 0, ended.errors
        return ended.rows

    @property
    def running(self) -> bool:
        return bool(namespace.process_one(self.layout))


def the_lab() -> LabCloud:
    """The one lab of this machine."""
    return LabCloud(find())


def another_lab(folder: Path, network: str) -> LabCloud:
    """A second lab beside it, with the first one's environment and image."""
    cache = the_lab().layout.settings.cache
    settings = from_environment(str(folder), str(cache), network)
    flags = ("--folder", str(folder), "--cache", str(cache), "--network", network)
    return LabCloud(Layout(settings), flags)


def why_not(cloud: LabCloud, wanted: Hypervisor) -> str:
    """Why this machine cannot run the lab, '' when it can."""
    try:
        facts = machine.gather(cloud.layout.folder)
        machine.refuse(machine.refusals(facts, real=wanted.real, fresh=not cloud.running))
        if not cloud.running:
            uplink.refuse_overlap(cloud.layout.settings)
    except RefusedError as refused:
        return f"{refused.problem} {refused.remedy}"
    return ""


def serves(have: Hypervisor, wanted: Hypervisor) -> bool:
    """Whether a lab of one kind does for tests of the other."""
    return have is wanted or have is Hypervisor.BOTH


def is_of_another_version(cloud: LabCloud) -> bool:
    """Whether the lab was left running by other code than this checkout's."""
    try:
        namespace.refuse_other(cloud.layout)
    except RefusedError:
        return True
    return False


def ensure(cloud: LabCloud, wanted: Hypervisor, needs: Callable[[object, str], None]) -> None:
    """Leave a healthy lab alone; start, repair or extend any other."""
    kept = load_choices(cloud.layout)
    if cloud.running and kept:
        if is_of_another_version(cloud):
            cloud.lab("down")
        elif serves(kept.hypervisor, wanted) and cloud.report()["healthy"]:
            return
        wanted = wanted if kept.hypervisor is wanted else Hypervisor.BOTH
    reason = why_not(cloud, wanted)
    needs(not reason, f"no lab on this machine: {reason}")
    cloud.up("--hypervisor", str(wanted))
