"""What the routes use, created once per process: current model, lane, store and metrics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery

from production_server.jobs.store import Store
from production_server.messaging.app import create_app
from production_server.messaging.batches import Answer
from production_server.messaging.lane import Lane
from production_server.messaging.link import CONNECTION_ERRORS
from production_server.model.card import Card
from production_server.model.registry import Registry
from production_server.settings import Settings
from production_server.web.metrics import Metrics
from production_server.web.rows import RowSchema

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
# The pause after a failure doubles up to this.
LONGEST_PAUSE = 10.0
# How long to wait for the workers to load a new version before logging a warning.
LOAD_PATIENCE = 60.0
# The Celery nodes that have the versions command; the recorder has not.
MODEL_NODES = "^(worker|embedded)"


@dataclass(frozen=True)
class Pinned:
    """The version this process sends rows to, and the schema that checks them."""

    version: str
    card: Card
    schema: RowSchema


class CurrentModel:
    """Follows the registry's active version, once the workers have loaded it."""

    def __init__(
        self, registry: Registry, app: Celery, max_rows: int, on_failure: Callable[[], None]
    ) -> None:
        """`on_failure` is called after each failed look at the registry or the workers."""
        self.registry = registry
        self._on_failure = on_failure
        self._app = app
        self._max_rows = max_rows
        self._stopping = threading.Event()
        self.pinned = self._pin(registry.active())

    def watch(self) -> None:
        threading.Thread(target=self._watch_loop, name="current-model", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def loaded_by_workers(self, timeout: float = 1.0) -> list[list[str]]:
        """The versions that each worker has loaded; requested over the queue."""
        try:
            replies = self._app.control.broadcast(
                "stackserve_versions",
                reply=True,
                timeout=timeout,
                pattern=MODEL_NODES,
                matcher="pcre",
            )
        except CONNECTION_ERRORS:
            return []
        return [list(held) for reply in replies or [] for held in reply.values() if held]

    def _pin(self, version: str) -> Pinned:
        card = self.registry.card(version)
        return Pinned(version, card, RowSchema(card, self._max_rows))

    def _watch_loop(self) -> None:
        pause = WATCH_SECONDS
        while not self._stopping.wait(pause):
            try:
                active = self.registry.active()
                if active != self.pinned.version and self._workers_have(active):
                    self.pinned = self._pin(active)
                    log.info("now using model %s", active)
                pause = WATCH_SECONDS
            except Exception as error:  # if this thread ended, the model would never change
                log.exception("the active model cannot be used: %s", getattr(error, "remedy", ""))
                self._on_failure()
                pause = min(LONGEST_PAUSE, 2 * pause)

    def _workers_have(self, version: str) -> bool:
        give_up = time.monotonic() + LOAD_PATIENCE
        while not self._stopping.wait(0.1) and time.monotonic() < give_up:
            loaded = self.loaded_by_workers()
            if loaded and all(version in versions for versions in loaded):
                return True
            if self.registry.active() != version:
                return False
        log.warning("model %s is not loaded yet; still using the previous one", version)
        return False


class Services:
    """What outlives a request, in one web process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started = time.time()
        self.registry = Registry(settings.registry_path)
        self.registry.seed()
        self.app = create_app(settings)
        self.metrics = Metrics(settings.metrics_folder)
        self.lane = Lane(self.app, settings.deadline, observer=self.metrics)
        self.models = CurrentModel(
            self.registry, self.app, settings.max_rows, self.metrics.loop_failed
        )
        self.store = Store(settings.store)

    def start(self) -> None:
        self.lane.start()
        self.models.watch()

    def stop(self) -> None:
        self.models.stop()
        self.lane.stop()
        self.store.close()

    @property
    def pinned(self) -> Pinned:
        return self.models.pinned

    def card(self) -> Card:
        return self.models.pinned.card

    def predict_now(self, card: Card, rows: list[list[float]]) -> Answer:
        """Predict valid rows. Raises QueueError if no answer comes."""
        pinned = self.pinned
        # The current model may have changed since the caller read its card.
        same = pinned.version == card.version
        schema = pinned.schema if same else RowSchema(card, len(rows))
        packed = schema.from_values(rows)
        return self.lane.ask(card.version, packed.packed, packed.count)

    def default_row(self) -> list[float]:
        return [feature.default for feature in self.card().features]

    def summary(self) -> dict[str, Any]:
        card = self.card()
        return {"model": card.name, "version": card.version}
