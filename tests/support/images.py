"""The images of a checkout on a Docker engine of their own, for the container tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from container_engine import AUTHORITIES, BASE, DOCKER, Engine, missing_package

from tests.support.service import ROOT

# Lower numbers are for engines that somebody starts by hand.
NUMBERS = range(10, 50)
NAMESPACES = Path("/run/netns")
IMAGE = "stackserve:test"
BROKER = "stackserve-broker:test"
BUILD_SECONDS = 1200


@dataclass(frozen=True)
class Images:
    """A running engine, and the images that were built on it from this checkout."""

    engine: Engine
    image: str = IMAGE
    broker: str = BROKER

    def launcher(
        self, *words: str, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`stackserve image ...`, with this engine."""
        return subprocess.run(
            [sys.executable, "-m", "openstack_client", "image", *words],
            cwd=ROOT,
            env=self.environment | dict(more or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )

    def build(self, tag: str, *words: str) -> str:
        """Build with the launcher; return what it prints."""
        done = self.launcher("build", tag, "--base", BASE, *words)
        assert done.returncode == 0, done.stderr[-6000:]
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name[:11] != "STACKSERVE_"},
            **self.engine.environment,
            "PATH": f"{Path(DOCKER).parent}:{os.environ['PATH']}",
            # The package index may be behind a proxy that reads along.
            "STACKSERVE_DEPLOY_CA_BUNDLE": str(AUTHORITIES),
        }


def missing() -> str:
    """Why there can be no engine here; "" if there can."""
    if os.geteuid() != 0:
        return "only root can start a Docker engine"
    package = missing_package()
    return package and f"{package} is missing: apt-get install {package}"


def free_number() -> int:
    """A number of an engine that no other run of the tests uses."""
    return next(n for n in NUMBERS if not (NAMESPACES / f"ssengine{n}").exists())


@contextmanager
def built() -> Iterator[Images]:
    """Start an engine, make a base, build both images; delete all of it at the end."""
    # Not in /tmp, which may be in memory.
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/var/tmp"))
    with Engine(folder, number=free_number()) as engine:
        engine.import_base()
        images = Images(engine)
        images.build(IMAGE, "--broker")
        yield images
