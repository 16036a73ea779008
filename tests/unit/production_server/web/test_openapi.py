"""The OpenAPI document is made from the card, for any model."""

from __future__ import annotations

from production_server.model.card import Card, Feature
from production_server.web.openapi import document
from production_server.web.rows import RowSchema
from production_server.web.services import Pinned


def test_the_document_describes_the_model_in_force() -> None:
    features = [
        Feature(name="petal", label="Petal", unit="cm", low=1, high=7, default=4, minimum=0)
    ]
    card = Card(
        name="iris",
        version="iris-2",
        kind="multiclass",
        target="Species",
        classes=["a", "b", "c"],
        features=features,
    )
    told = document(Pinned("iris-2", card, RowSchema(card, 50)))
    row = told["components"]["schemas"]["Row"]
    assert row["properties"]["petal"]["minimum"] == 0
    assert row["additionalProperties"] is False
    assert told["info"]["version"] == "iris-2"
    assert {"/predict", "/predictions", "/jobs", "/alive", "/ready", "/metrics"} <= set(
        told["paths"]
    )
