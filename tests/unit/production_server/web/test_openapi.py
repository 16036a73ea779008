"""The OpenAPI document is made from the card, for any model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask

from production_server.jobs.store import Store
from production_server.model.card import Card, Feature
from production_server.settings import Settings
from production_server.web import jobs_api, operations, pages
from production_server.web.current_model import Pinned
from production_server.web.openapi import document
from production_server.web.rows import RowSchema
from tests.unit.production_server.web.callers import make_access


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


def test_every_route_is_described_beside_it(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    services: Any = SimpleNamespace(store=store, settings=Settings(), access=make_access())
    for module in (pages, operations, jobs_api):
        app = Flask("routes", static_folder=None)
        app.register_blueprint(module.blueprint(services))
        routes = {
            (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
            for rule in app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }
        described = {
            (path, method)
            for path, methods in module.openapi_paths().items()
            for method in methods.keys() - {"parameters"}
        }
        assert described == routes - {("/", "get")}, module.__name__
    store.close()
