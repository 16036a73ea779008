"""A service, and a machine before it that takes `git push`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.push_machine import Clone, PushMachine, can_run
from tests.support.service import ROOT, Service

MISSING = "this needs root, sshd and sudo: apt-get install openssh-server sudo"
# tests/integration/test_update_code.py tries the real one.
UPDATE = """#!/bin/sh
[ "$1 $2 $4" = "code --sha256 --code" ] || { echo "odd arguments: $*" >&2; exit 2; }
[ "$(sha256sum | cut -d ' ' -f 1)" = "$3" ] || { echo "another archive" >&2; exit 2; }
echo "the new code does not start" >&2
exit 1
"""
PROGRAMS = {
    "systemd-run": f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/support/systemd_run.py "$@"\n',
    "stackserve-update": UPDATE,
}


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="package")
def machine(
    tmp_path_factory: pytest.TempPathFactory, service: Service, needs_root: None
) -> Iterator[PushMachine]:
    folder = tmp_path_factory.mktemp("machine")
    with PushMachine(folder, service.home, PROGRAMS) as started:
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
