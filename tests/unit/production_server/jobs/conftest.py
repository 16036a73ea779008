"""Cards and uploads for the tests of jobs."""

from __future__ import annotations

import io

import pytest

from production_server.jobs.intake import Body
from production_server.jobs.ledger import Ledger
from production_server.model.card import Card, Feature


@pytest.fixture
def card() -> Card:
    return Card(
        name="tiny",
        version="tiny-1",
        kind="binary",
        target="illness",
        classes=["no", "yes"],
        features=[
            Feature(name="age", label="Age", low=20, high=80, default=40, minimum=0, maximum=130),
            Feature(
                name="blood_pressure",
                label="Blood pressure",
                unit="mm Hg",
                low=40,
                high=120,
                default=70,
                minimum=0,
                zero_is_missing=True,
            ),
            Feature(name="score", low=-1, high=1, default=0),
        ],
    )


@pytest.fixture
def lines(card: Card) -> Ledger:
    return Ledger("line", card)


@pytest.fixture
def rows(card: Card) -> Ledger:
    return Ledger("row", card)


def body(data: bytes, limit: int = 1 << 30) -> Body:
    return Body(io.BytesIO(data), limit)
