"""The lab for tests: starts it if necessary, and runs the plain `openstack` command line on it.

tests/lab/conftest.py provides it as the fixtures `lab_cloud` (fake servers) and `real_lab` (real
guests). All tests share one lab: servers of the project demo-fake run on Nova's fake hypervisor,
those of the project demo are real guests.
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

from openstack_lab import namespace, preflight, uplink
from openstack_lab.errors import RefusedError
from openstack_lab.lab import find, load_choices
from openstack_lab.layout import Layout
from openstack_lab.settings import Hypervisor, from_environment

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "lab"
# On a new machine, the lab downloads packages and builds the guest image, slowly on two cores.
FIRST_START_SECONDS = 1500


@dataclass
class Ended:
    """The exit code and output of a command."""

    code: int
    output: str
    errors: str
    seconds: float

    @property
    def rows(self) -> Any:
        return json.loads(self.output)


def run(command: list[str], timeout: float, **variables: str) -> Ended:
    """Run a command without the OS_ variables of the caller."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
    started = time.monotonic()
    done = subprocess.run(
        command,
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


@dataclass
class LabCloud:
    """One lab, running or not."""

    layout: Layout
    flags: tuple[str, ...] = field(default=())

    def lab(self, *arguments: str, timeout: float = 120) -> Ended:
        """`scripts/lab VERB ...` on this lab."""
        verb, *rest = arguments
        return run([sys.executable, str(SCRIPT), verb, *self.flags, *rest], timeout)

    def up(self, *arguments: str, timeout: float = FIRST_START_SECONDS) -> Ended:
        ended = self.lab("up", *arguments, timeout=timeout)
        assert ended.code == 0, ended.errors[-3000:]
        return ended

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self.lab("status", "--json").rows
        return report

    def openstack(self, *arguments: str, cloud: str = "lab", timeout: float = 180) -> Ended:
        """Run the plain `openstack` command line with the lab's clouds.yaml."""
        return run(
            [self.layout.bin("openstack"), *arguments],
            timeout,
            OS_CLIENT_CONFIG_FILE=str(self.layout.folder / "clouds.yaml"),
            OS_CLOUD=cloud,
            # The lab is near. A test may just have set a proxy for the launcher.
            http_proxy="",
        )

    def rows(self, *arguments: str, cloud: str = "lab", timeout: float = 180) -> Any:
        ended = self.openstack(*arguments, "--format", "json", cloud=cloud, timeout=timeout)
        assert ended.code == 0, ended.errors
        return ended.rows

    def create_server(
        self,
        name: str,
        *options: str,
        flavor: str = "tiny",
        image: str = "debian-12",
        cloud: str = "lab",
        timeout: float = 180,
    ) -> Ended:
        """Run `openstack server create`, by default with the smallest flavor."""
        wanted = ("--flavor", flavor, "--image", image, "--network", "private")
        return self.openstack(
            "server", "create", *wanted, *options, name, cloud=cloud, timeout=timeout
        )

    @property
    def running(self) -> bool:
        return bool(namespace.process_one(self.layout))


def the_lab() -> LabCloud:
    """The lab of this machine."""
    return LabCloud(find())


def another_lab(folder: Path, network: str) -> LabCloud:
    """A second lab beside the first one, with the same environment and image."""
    cache = the_lab().layout.settings.cache
    settings = from_environment(str(folder), str(cache), network)
    flags = ("--folder", str(folder), "--cache", str(cache), "--network", network)
    return LabCloud(Layout(settings), flags)


def why_not(cloud: LabCloud, wanted: Hypervisor) -> str:
    """The reason why this machine cannot run the lab, or an empty string."""
    try:
        facts = preflight.gather(cloud.layout.folder)
        preflight.refuse(preflight.refusals(facts, real=wanted.real, fresh=not cloud.running))
        if not cloud.running:
            uplink.refuse_overlap(cloud.layout.settings)
    except RefusedError as refused:
        return f"{refused.problem} {refused.remedy}"
    return ""


def serves(have: Hypervisor, wanted: Hypervisor) -> bool:
    """Whether a lab with one hypervisor can serve tests that need another."""
    return have is wanted or have is Hypervisor.BOTH


def is_of_another_version(cloud: LabCloud) -> bool:
    """Whether another version of the code started the lab."""
    try:
        namespace.refuse_other(cloud.layout)
    except RefusedError:
        return True
    return False


def ensure(cloud: LabCloud, wanted: Hypervisor, needs: Callable[[object, str], None]) -> None:
    """Start, repair or extend the lab unless it is healthy."""
    kept = load_choices(cloud.layout)
    if cloud.running and kept:
        if is_of_another_version(cloud):
            cloud.lab("down")
        elif serves(kept.hypervisor, wanted) and cloud.report()["healthy"]:
            return
        wanted = wanted if kept.hypervisor is wanted else Hypervisor.BOTH
    reason = why_not(cloud, wanted)
    needs(not reason, f"this machine cannot run the lab: {reason}")
    cloud.up("--hypervisor", str(wanted))
