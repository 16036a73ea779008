"""A stopped service with jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.settings import Settings
from tests.support.stopped_service import service


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return service(tmp_path / "home")
