"""Ends a trial by itself, if its start asked for that: promotes the candidate, or withdraws it."""

from __future__ import annotations

import logging
import threading
import time

from production_server.jobs.reader import Reader
from production_server.model import rollout
from production_server.model.health import Step, health, next_step
from production_server.model.registry import Registry

log = logging.getLogger(__name__)

EVERY = 2.0  # seconds


class TrialKeeper:
    """Runs in a thread of the recorder."""

    def __init__(self, registry: Registry, store: Reader) -> None:
        self._registry = registry
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trial-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        working = True
        while not self._stopping.wait(EVERY):
            try:
                self.look(time.time())
                working = True
            except Exception:  # if this thread ended, no trial would end by itself
                if working:
                    log.exception("cannot look after the version on trial; trying again")
                working = False

    def look(self, now: float) -> None:
        """Do what is due."""
        trial = rollout.candidate(self._registry)
        if trial is None or (trial.promote_after is None and not trial.if_healthy):
            return
        counts = self._store.counted(trial.number)
        active = self._registry.active()
        found = health(trial, counts.get(active, {}), counts.get(trial.version, {}))
        step, why = next_step(trial, found, now)
        if step is Step.PROMOTE:
            rollout.promote(self._registry, why, only=trial)
            log.warning("promoted model %s: %s", trial.version, why)
        elif step is Step.WITHDRAW:
            rollout.withdraw(self._registry, why, only=trial)
            log.warning("withdrew model %s: %s", trial.version, why)
