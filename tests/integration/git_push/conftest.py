"""A service, and a machine before it that takes `git push`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from production_server.cli import group
from tests.support.push_machine import Clone, PushMachine, can_run
from tests.support.service import ROOT, Service

MISSING = "this needs root, sshd and sudo: apt-get install openssh-server sudo"
# Until the verb is there, a program of the tests takes its place.
RECEIVES = (
    CliRunner().invoke(group, ["models", "receive", "--help"], standalone_mode=True).exit_code == 0
)
OURS = """case "$*" in
    *" --check") exec STAND_IN --check ;;
    *" --activate") exec STAND_IN --activate ;;
esac"""
RUN = f"""#!/bin/sh
{"" if RECEIVES else OURS}
exec {sys.executable} {ROOT}/tests/support/systemd_run.py "$@"
"""


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="package")
def machine(
    tmp_path_factory: pytest.TempPathFactory, service: Service, needs_root: None
) -> Iterator[PushMachine]:
    stand_in = (
        f"env PYTHONPATH={ROOT} STACKSERVE_HOME={service.home} "
        f"{sys.executable} -m tests.support.receiving"
    )
    programs = {
        "systemd-run": RUN.replace("STAND_IN", stand_in),
        "stackserve-update": "#!/bin/sh\necho the new code does not start >&2\nexit 1\n",
    }
    environment = {"STACKSERVE_HOME": str(service.home)}
    with PushMachine(tmp_path_factory.mktemp("machine"), environment, programs) as started:
        yield started


@pytest.fixture(scope="session")
def needs_root() -> None:
    if not can_run():
        pytest.skip(MISSING)


@pytest.fixture
def clone(machine: PushMachine, tmp_path: Path) -> Iterator[Callable[[str], Clone]]:
    """Makes the repository of somebody whose key is allowed."""
    names = []

    def make(name: str, *flags: str) -> Clone:
        names.append(name)
        return Clone(tmp_path / name, machine, machine.add_key(name, *flags))

    yield make
    for name in names:
        machine.git_keys("remove-key", name)
