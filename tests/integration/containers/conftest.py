"""One engine with the images of this checkout, for all tests with containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.images import Images, built, missing


@pytest.fixture(scope="session")
def images(needs: Callable[[object, str], None]) -> Iterator[Images]:
    needs(not missing(), missing())
    with built() as images:
        yield images
