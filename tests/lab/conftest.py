"""One lab for all tests in this folder. It is started and stopped here, unless it is running."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.cloud import FIRST_START_SECONDS, LabCloud, ensure
from tests.support.early_lab import HERE, EarlyLab
from tests.support.lab_guests import Guests

EARLY = pytest.StashKey[EarlyLab]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """The lab starts while the tests of other folders run."""
    if not session.config.option.collectonly:
        session.stash[EARLY] = EarlyLab(session.items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop it also if no test has come to need it."""
    if EARLY in session.stash:
        session.stash[EARLY].end()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the first test here the time to start the lab."""
    first = next((item for item in items if item.path.is_relative_to(HERE)), None)
    if first is not None:
        own = first.get_closest_marker("timeout")
        limit = float(own.args[0]) if own and own.args else 120
        first.add_marker(pytest.mark.timeout(FIRST_START_SECONDS + limit), append=False)


@pytest.fixture(scope="package", autouse=True)
def lab_cloud(
    request: pytest.FixtureRequest, needs: Callable[[object, str], None]
) -> Iterator[LabCloud]:
    """A running lab with the fake hypervisor, and with real guests if a selected test boots one."""
    early_lab = request.session.stash[EARLY]
    early_lab.wait()
    try:
        ensure(early_lab.cloud, early_lab.hypervisor, needs)
        yield early_lab.cloud
    finally:  # also if the suite is stopped while the lab starts
        early_lab.end()


@pytest.fixture(scope="package")
def real_lab(lab_cloud: LabCloud) -> LabCloud:
    """The same lab. Its project demo (OS_CLOUD=lab) boots real guests."""
    return lab_cloud


@pytest.fixture(scope="package")
def booting_guests(
    request: pytest.FixtureRequest, lab_cloud: LabCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guests]:
    """Servers, not waited for. Only long tests need the second one, which slows all others."""
    want_second = bool(request.config.getoption("--long"))
    guests = Guests(lab_cloud, tmp_path_factory.mktemp("guests"), want_second)
    try:
        guests.start()
        yield guests
    finally:
        guests.remove()


@pytest.fixture(scope="package", autouse=True)
def boot_early(request: pytest.FixtureRequest) -> None:
    """Let the guests boot while the tests before theirs run: emulated, that takes minutes."""
    if any("booting_guests" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("booting_guests")
