"""The model version that the web tier uses: the active one, once the workers have loaded it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from production_server.messaging.workers import Step, Workers, next_step
from production_server.model.card import Card
from production_server.model.registry import Registry
from production_server.web.rows import RowSchema

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
# The pause after a failure doubles up to this.
LONGEST_PAUSE = 10.0
# How long to wait for the workers to load a new version before logging a warning.
LOAD_PATIENCE = 60.0
# How long to wait for a worker VM that is still getting it. It then joins again later.
VM_PATIENCE = 45.0


@dataclass(frozen=True)
class Pinned:
    """The version this process sends rows to, and the schema that checks them."""

    version: str
    card: Card
    schema: RowSchema


class CurrentModel:
    """Follows the registry's active version, once the workers have loaded it."""

    def __init__(
        self, registry: Registry, workers: Workers, max_rows: int, on_failure: Callable[[], None]
    ) -> None:
        """`on_failure` is called after each failed look at the registry or the workers."""
        self.registry = registry
        self._workers = workers
        self._on_failure = on_failure
        self._max_rows = max_rows
        self._stopping = threading.Event()
        self.pinned = self._pin(registry.active())

    def watch(self) -> None:
        threading.Thread(target=self._watch_loop, name="current-model", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

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
        began = time.monotonic()
        step = Step.WAIT
        while not self._stopping.wait(0.1) and (waited := time.monotonic() - began) < LOAD_PATIENCE:
            states = self._workers.states(wanted=version, leave=step is Step.LEAVE)
            step = next_step(states, version, wait=waited < VM_PATIENCE)
            if step is Step.SWITCH:
                return True
            if self.registry.active() != version:
                return False
        log.warning("model %s is not loaded yet; still using the previous one", version)
        return False
