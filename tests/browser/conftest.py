"""The real service in one process, for tests with a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.chromium import OpenTab, Tab
from tests.support.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves the shipped model with small chunks, so that a job of 1,000 rows shows progress."""
    folder = tmp_path_factory.mktemp("service")
    with Service(folder, settings={"STACKSERVE_CHUNK_ROWS": "100"}) as running:
        yield running.url


@pytest.fixture
def tab(open_tab: OpenTab, service: str) -> Tab:
    return open_tab(service)
