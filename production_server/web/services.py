"""What the routes use, created once per process: current model, lane, store and metrics."""

from __future__ import annotations

import time
from typing import Any

from production_server.jobs.store import Store
from production_server.live.inputs import Inputs
from production_server.messaging.app import create_app
from production_server.messaging.batches import Answer
from production_server.messaging.lane import Lane
from production_server.messaging.workers import Workers
from production_server.model.card import Card
from production_server.model.registry import Registry
from production_server.settings import Settings
from production_server.trainer.runs import Runs
from production_server.web.access import access_of
from production_server.web.copies import Copies
from production_server.web.current_model import CurrentModel, Pinned
from production_server.web.metrics import Metrics
from production_server.web.request_log import RequestLog
from production_server.web.rows import RowSchema
from production_server.web.tallies import Tallies


class Services:
    """What outlives a request, in one web process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started = time.time()
        self.access = access_of(settings)
        self.registry = Registry(settings.registry_path)
        self.registry.seed()
        # Whatever gets lost here is asked again, and a confirm may not come during an alarm.
        self.app = app = create_app(settings, confirm_publish=False)
        self.metrics = Metrics(settings.metrics_folder)
        self.inputs = Inputs(self.card, self.metrics.input_rows)
        self.requests = RequestLog(settings.request_log)
        self.lane = Lane(app, settings.deadline, observer=self.metrics)
        self.workers = Workers(app, self.lane)
        self.runs = Runs.of(settings)
        self.store = Store(settings.store, settings.store_bytes)
        self.tallies = Tallies(self.store.count)
        self.models = CurrentModel(
            self.registry,
            self.workers,
            settings.max_rows,
            self.metrics.loop_failed,
            self.tallies.of,
        )
        self.copies = Copies(Lane(app, settings.deadline, window=1))

    def start(self) -> None:
        self.lane.start()
        self.models.watch()
        self.tallies.start()

    def stop(self) -> None:
        self.models.stop()
        self.lane.stop()
        self.copies.stop()
        self.tallies.stop()
        self.store.close()

    @property
    def pinned(self) -> Pinned:
        return self.models.pinned

    def card(self) -> Card:
        return self.models.pinned.card

    def predict_now(
        self, card: Card, rows: list[list[float]], request_id: str | None = None
    ) -> Answer:
        """Predict valid rows. Raises QueueError if no answer comes."""
        pinned = self.pinned
        # The current model may have changed since the caller read its card.
        same = pinned.version == card.version
        schema = pinned.schema if same else RowSchema(card, len(rows))
        packed = schema.from_values(rows)
        return self.lane.ask(card.version, packed.packed, packed.count, request_id=request_id or "")

    def default_row(self) -> list[float]:
        return [feature.default for feature in self.card().features]

    def summary(self) -> dict[str, Any]:
        card = self.card()
        return {"model": card.name, "version": card.version}
