"""Fixtures for tests of the programs in cloud-init/files/."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.cloud_init.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Callable[[], Receiver]]:
    made: list[Receiver] = []

    def make() -> Receiver:
        made.append(Receiver())
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()
        one.out.close()
