"""Sanity predictions allow for another processor, and for nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from production_server.model.card import Card, card_text
from production_server.model.metrics import Sanity
from production_server.model.predictor import Predictor, Rows
from production_server.model.registry import SHIPPED, Registry
from production_server.model.sanity import difference, sanity_of

CARD = Registry(SHIPPED).card(Registry(SHIPPED).versions()[-1])
ROWS = np.ones((6, len(CARD.features)), np.float32)


def answering(value: float) -> Predictor:
    def forward(rows: Rows) -> Rows:
        return np.full((len(rows), 1), value, np.float32)

    return Predictor(CARD, forward)


def made_with(value: float) -> Card:
    return CARD.model_copy(update={"sanity": sanity_of(answering(value), ROWS)})


@pytest.mark.parametrize("value", [0.5, 1e-9, 0.999])
def test_rounding_is_allowed(value: float) -> None:
    assert difference(made_with(value), answering(value * 1.0001)) is None


@pytest.mark.parametrize("value", [0.51, 0.0, float("nan")])
def test_another_answer_is_not(value: float) -> None:
    assert "instead of 0.5" in (difference(made_with(0.5), answering(value)) or "")


def test_rows_and_outputs_of_another_model() -> None:
    short = CARD.model_copy(update={"sanity": Sanity(rows=[[1.0]], outputs=[[0.5]])})
    assert "8 values" in (difference(short, answering(0.5)) or "")
    wide = Sanity(rows=ROWS[:1].tolist(), outputs=[[0.5, 0.5]])
    card = CARD.model_copy(update={"sanity": wide})
    assert "1 values" in (difference(card, answering(0.5)) or "")


def test_a_card_without_them_is_written_as_before() -> None:
    assert "sanity" not in card_text(CARD)
    assert Card.model_validate_json(card_text(made_with(0.5))).sanity == made_with(0.5).sanity
