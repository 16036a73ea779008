"""The images of a checkout on a Docker engine of their own, for the container tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from container_engine import Engine, missing_package

from tests.support.service import ROOT

# Lower numbers are for engines that somebody starts by hand.
NUMBERS = range(10, 50)
NAMESPACES = Path("/run/netns")
IMAGE = "stackserve:test"
BROKER = "stackserve:test-broker"
SERVICE_TARGET, BROKER_TARGET = "", "broker"


@dataclass(frozen=True)
class Images:
    """A running engine, and the images that were built on it from this checkout."""

    engine: Engine
    image: str = IMAGE
    broker: str = BROKER


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
        engine.build(ROOT, SERVICE_TARGET, IMAGE)
        engine.build(ROOT, BROKER_TARGET, BROKER)
        yield Images(engine)
