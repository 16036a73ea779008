"""Sites with each preset of the policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from production_server.access.policy import Preset
from tests.unit.production_server.web.sites import Site


@pytest.fixture(params=list(Preset))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    made = Site(request.param, tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[Site]:
    made = Site(Preset.OPEN, tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def token_site(tmp_path: Path) -> Iterator[Site]:
    made = Site(Preset.TOKEN, tmp_path)
    yield made
    made.store.close()
