"""Options of the whole suite: what to do with tests that cannot run here, and with slow ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="a test that cannot run here fails")
    parser.addoption("--long", action="store_true", help="run the tests that take over a minute")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    slow = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session")
def needs(request: pytest.FixtureRequest) -> Callable[[object, str], None]:
    """`needs(thing, "what is missing and how to get it")`: skip, or fail under --all."""

    def check(present: object, missing: str) -> None:
        if present:
            return
        if request.config.getoption("--all"):
            pytest.fail(f"--all: {missing}")
        pytest.skip(missing)

    return check
