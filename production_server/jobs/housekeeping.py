"""Deletes jobs that are too old or too many, and gives their space back to the disk."""

from __future__ import annotations

import logging
import threading
import time

from production_server.jobs.store import Store

log = logging.getLogger(__name__)

EVERY = 10.0  # seconds
DAY = 86400.0


class Housekeeper:
    """Runs in a thread of its own, because deleting can take longer than dispatching may wait."""

    def __init__(self, store: Store, retention_days: float) -> None:
        self._store = store
        self._retention = retention_days * DAY
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        healthy, begun = True, False
        while not self._stopping.is_set():
            try:
                if not begun:
                    self._store.allow_shrinking()
                    begun = True
                self.round(time.time())
                healthy = True
            except Exception:  # if this thread ended, the disk would fill up
                if healthy:
                    log.exception("cannot tidy the jobs database; retrying every %g s", EVERY)
                healthy = False
            self._stopping.wait(EVERY)

    def round(self, now: float) -> None:
        """Delete what is due, and give its space back."""
        while not self._stopping.is_set() and (deleted := self._store.prune(now, self._retention)):
            for batch in deleted:
                log.info(
                    "deleted %d jobs of %d bytes: %s", len(batch.jobs), batch.bytes, batch.reason
                )
        self._store.shrink(self._stopping)
