"""An identity provider for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.identity_provider import IdentityProvider, identity_provider


@pytest.fixture(scope="module")
def running() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider
