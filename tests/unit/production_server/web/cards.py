"""Cards of each kind, and the pages served from them without any queue behind."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from flask import Flask
from flask.testing import FlaskClient

from production_server.errors import QueueError
from production_server.messaging.batches import Answer
from production_server.model.card import Card, Feature, read_card
from production_server.model.metrics import HeldOut, Metrics
from production_server.model.registry import SHIPPED
from production_server.web import access, pages, problems
from production_server.web.current_model import Pinned
from production_server.web.rows import RowSchema
from production_server.web.services import Services
from tests.unit.production_server.web.callers import make_access

Model = Callable[[list[float]], list[float]]

BINARY = read_card(SHIPPED / "diabetes-1" / "card.json")
MULTICLASS = Card(
    name="penguins",
    version="penguins-1",
    kind="multiclass",
    target="Penguin species",
    classes=["Adelie", "Chinstrap", "Gentoo"],
    features=[
        Feature(
            name="bill",
            label="Bill, from tip",
            unit="mm",
            low=30,
            high=62,
            default=44,
            minimum=0,
            decimals=1,
        ),
        Feature(name="delta", label="δ¹⁵N", unit="‰", low=-2, high=12, default=8.7, decimals=2),
    ],
)
REGRESSION = Card(
    name="houses",
    version="houses-2",
    kind="regression",
    target="House price",
    unit="k€",
    features=[Feature(name="area", unit="m²", low=20, high=400, default=100, minimum=1)],
    metrics=Metrics(
        rows_train=40,
        rows_test=3,
        mae=2.5,
        rmse=3,
        r2=0.9,
        held_out=HeldOut(truth=[100, 200, 300], probability=[110.0, 190.0, 310.0]),
    ),
)


class Queue:
    """Answers as a queue would, counts what it was asked, and can be out of order."""

    def __init__(self, card: Card, model: Model) -> None:
        self.card = card
        self.model = model
        self.asked: list[int] = []
        self.broken = False

    def predict_now(
        self, card: Card, rows: list[list[float]], request_id: str | None = None
    ) -> Answer:
        RowSchema(card, len(rows)).from_values(rows)
        if self.broken:
            raise QueueError("no worker answered within 10 s", "Try again in a moment.")
        self.asked.append(len(rows))
        outputs = [value for row in rows for value in self.model(row)]
        return Answer(card.version, struct.pack(f"<{len(outputs)}f", *outputs), card.width, 0.001)


def client(card: Card, model: Model) -> tuple[FlaskClient, Queue]:
    """The pages of one card, answered by `model`."""
    queue = Queue(card, model)
    services: Any = SimpleNamespace(
        pinned=Pinned(card.version, card, RowSchema(card, 100)),
        card=lambda: card,
        predict_now=queue.predict_now,
        settings=SimpleNamespace(max_job_rows=1_000_000),
        access=make_access(),
    )
    app = Flask("production_server.web.app")
    problems.install(app)
    app.register_blueprint(pages.blueprint(cast(Services, services)))
    access.install(app, services.access)
    return app.test_client(), queue
