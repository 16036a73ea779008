"""Options and fixtures of the whole suite, such as --all and --long."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from production_server.local import rabbitmq
from production_server.local.rabbitmq import RabbitNode
from tests.support.disks import SmallDisk, can_mount, small_disk
from tests.support.service import Service

# A shell starts background jobs with SIGINT ignored, nohup ignores SIGHUP, and child processes
# would inherit that. A handler, unlike SIG_IGN, is reset to the default in programs they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)


def _stop(_number: int, _frame: object) -> None:
    """End like Ctrl-C, so that fixtures stop what they have started.

    Only the first SIGTERM counts: `timeout` sends two, and the second would interrupt the fixtures.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, _stop)

# Loaded here because tests in several folders use a browser.
pytest_plugins = ["tests.support.chromium"]

# Tests that compare with Keras use the backend of the service.
os.environ.setdefault("KERAS_BACKEND", "jax")


HERE = Path(__file__).resolve().parent
ORDER = ("unit", "lab", "browser", "integration")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action="store_true",
        help="fail tests that cannot run here",
    )
    parser.addoption("--long", action="store_true", help="include tests that take over a minute")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_place)
    if config.getoption("--long"):
        return
    slow = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


def _place(item: pytest.Item) -> int:
    """The fast tests first; the lab starts meanwhile."""
    folders = [HERE / folder for folder in ORDER]
    return next(
        (at for at, folder in enumerate(folders) if item.path.is_relative_to(folder)), len(ORDER)
    )


@pytest.fixture(scope="session")
def needs(request: pytest.FixtureRequest) -> Callable[[object, str], None]:
    """`needs(condition, "what is missing")`: skip the test, or fail it under --all."""

    def check(present: object, missing: str) -> None:
        if present:
            return
        if request.config.getoption("--all"):
            pytest.fail(f"--all: {missing}")
        pytest.skip(missing)

    return check


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service in one process, shared by tests that do not change its settings."""
    with Service(tmp_path_factory.mktemp("embedded")) as service:
        yield service
        # Other tests stop their service with SIGINT; SIGTERM must work as well.
        assert service.stop(signal.SIGTERM) == 0


@pytest.fixture
def disk(needs: Callable[[object, str], None], tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of 64 MB, for tests that fill it."""
    needs(can_mount(), "only root can mount a file system")
    with small_disk(tmp_path / "disk", 64) as disk:
        yield disk


@pytest.fixture
def rabbit(
    needs: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RabbitNode]:
    """A RabbitMQ node for one test, which may stop, kill and restart it."""
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    node = RabbitNode(tmp_path_factory.mktemp("rabbit"))
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def services(
    needs: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The full service: RabbitMQ, two web processes, two workers and the recorder."""
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    settings = {"STACKSERVE_WEB_PROCESSES": "2", "STACKSERVE_WORKERS": "2"}
    folder = tmp_path_factory.mktemp("services")
    with Service(folder, "--services", settings=settings) as service:
        yield service
        assert service.stop(signal.SIGTERM) == 0
