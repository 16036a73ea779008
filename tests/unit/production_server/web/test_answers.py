"""Outputs of the three kinds of model, as the API tells them."""

from __future__ import annotations

import pytest

from production_server.model.card import Card, Feature
from production_server.web.answers import answer

FEATURES = [Feature(name="x", low=0, high=1, default=0.5)]


def card(kind: str, **more: object) -> Card:
    fields = {"name": "m", "version": "m-1", "kind": kind, "target": "T", "features": FEATURES}
    return Card.model_validate({**fields, **more})


@pytest.mark.parametrize(("probability", "label"), [(0.5, "yes"), (0.49, "no")])
def test_binary(probability: float, label: str) -> None:
    told = card("binary", classes=["no", "yes"]).output.prediction([probability])
    assert told == {"label": label, "probability": probability, "positive": label == "yes"}


def test_multiclass() -> None:
    told = card("multiclass", classes=["a", "b", "c"]).output.prediction([0.2, 0.5, 0.3])
    assert (told["label"], told["probability"]) == ("b", 0.5)
    assert told["probabilities"] == {"a": 0.2, "b": 0.5, "c": 0.3}


def test_regression() -> None:
    assert card("regression", unit="kg").output.prediction([71.5]) == {
        "label": "T",
        "value": 71.5,
        "unit": "kg",
    }


def test_an_answer_names_its_version_and_keeps_the_rows_in_order() -> None:
    told = answer(card("regression"), [[1.0], [2.0]], [[], [{"field": "x"}]])
    assert told["version"] == "m-1"
    assert [one["value"] for one in told["predictions"]] == [1.0, 2.0]
    assert told["predictions"][1]["warnings"] == [{"field": "x"}]
