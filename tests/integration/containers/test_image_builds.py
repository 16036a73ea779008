"""Building again gives the same image, and stopping a build leaves none."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import tarfile

import pytest
from container_engine import BASE, DOCKER, Engine, EngineError

from tests.support.images import Images
from tests.support.service import ROOT

# The compiler orders the functions in the machine code as it likes.
MACHINE_CODE = "var/lib/stackserve/models/.compiled/"


def contents(engine: Engine, image: str) -> dict[str, tuple[object, ...]]:
    """Each file: kind, mode, owner, and a hash of what is in it."""
    container = engine.docker("create", image).strip()
    command = [DOCKER, "export", container]
    found: dict[str, tuple[object, ...]] = {}
    with (
        subprocess.Popen(command, env=engine.environment, stdout=subprocess.PIPE) as exported,
        tarfile.open(fileobj=exported.stdout, mode="r|") as archive,
    ):
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            inside = file.read() if file and not entry.name.startswith(MACHINE_CODE) else b""
            digest = hashlib.sha256(inside).hexdigest()
            owner = (entry.mode, entry.uid, entry.gid)
            found[entry.name] = (entry.type, *owner, entry.linkname, digest)
    engine.docker("rm", container)
    return found


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_two_builds_have_the_same_files(images: Images) -> None:
    images.build("again:test", "--no-cache")
    first, second = contents(images.engine, images.image), contents(images.engine, "again:test")
    assert len(first) > 1000
    changed = {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)}
    assert changed == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_a_build_leaves_nothing(number: signal.Signals, images: Images) -> None:
    command = [sys.executable, "-m", "openstack_client", "image", "build", "stopped:test"]
    process = subprocess.Popen(
        [*command, "--base", BASE, "--no-cache"],
        cwd=ROOT,
        env=images.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    # The first step that takes long has begun.
    next(line for line in process.stderr if "RUN apt-get" in line)
    process.send_signal(number)
    rest = process.stderr.read()
    assert process.wait(60) == 130, rest
    assert "Stopped" in rest and "Traceback" not in rest
    with pytest.raises(EngineError, match="No such image"):
        images.engine.docker("image", "inspect", "stopped:test")
