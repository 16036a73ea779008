"""What the operations page shows, as plain values: one look at everything.

The counters are those of all web processes, so every process shows the same.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from prometheus_client.metrics_core import Metric

from production_server.live.background import Background
from production_server.live.drift import told
from production_server.live.events import EventFile, follow_log
from production_server.live.traffic import Reading, Traffic, between, reading
from production_server.live.workers import Worker, workers_of
from production_server.messaging.activity import activities
from production_server.messaging.queue_counts import QueueCounts, queue_counts
from production_server.web.comparison import comparison
from production_server.web.services import Services

# Rates are averages over so many seconds.
WINDOW = 5.0
# The chart shows so many looks.
HISTORY = 120
# How long a page waits for a second reading, if nobody watches.
FIRST_SECONDS = 0.5
# How often the workers and the store are asked, and how long the first page waits for them.
WORKER_SECONDS = 3.0
STORE_SECONDS = 2.0
PATIENCE = 1.5
ANSWER_SECONDS = 0.5
SHOWN_JOBS = 8
SHOWN_EVENTS = 12


class Board:
    """Reads the figures of the service, and remembers the last two minutes of them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._readings: deque[Reading] = deque(maxlen=30)
        self._families: list[Metric] = []
        self._history: deque[tuple[float, float]] = deque(maxlen=HISTORY)
        self._staff = Background(WORKER_SECONDS, self._ask_workers)
        self._jobs = Background(STORE_SECONDS, self._read_jobs)
        self._events = EventFile(services.settings.home)
        self._known: set[str] = set()
        self._absent: set[str] = set()
        follow_log(self._events)

    def look(self) -> dict[str, Any]:
        """Everything, at this time. It may take a second."""
        with self._lock:
            # These begin before the others wait.
            self._staff()
            self._jobs()
            traffic, blocked = self._traffic()
            inputs = self._inputs()
            staff, jobs = self._staff(PATIENCE), self._jobs(PATIENCE)
        counts, workers = staff or (None, [])
        models = self._models()
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "troubles": troubles(blocked, counts, workers, models),
            "traffic": asdict(traffic),
            "history": list(self._history),
            "queue": None if counts is None else counts._asdict(),
            "workers": [asdict(worker) for worker in workers],
            "models": models,
            "inputs": inputs,
            "jobs": jobs,
            "events": [asdict(event) for event in self._events.last(SHOWN_EVENTS)],
        }

    def _traffic(self) -> tuple[Traffic, bool]:
        now = self._read()
        if self._readings and now.at - self._readings[-1].at > WINDOW:
            # Nobody has watched meanwhile.
            self._readings.clear()
            self._history.clear()
        if not self._readings:
            self._readings.append(now)
            time.sleep(FIRST_SECONDS)
            now = self._read()
        latest = between(self._readings[-1], now)
        self._history.append((latest.predictions, latest.failed))
        while len(self._readings) > 1 and now.at - self._readings[0].at > WINDOW:
            self._readings.popleft()
        traffic = between(self._readings[0], now)
        self._readings.append(now)
        return traffic, now.blocked

    def _read(self) -> Reading:
        self._families = list(self._services.metrics.families())
        return reading(time.monotonic(), self._families)

    def _inputs(self) -> dict[str, Any]:
        """The drift, from the metrics that were read last."""
        return told(self._services.inputs.bins_for(self._services.card()), self._families)

    def _ask_workers(self) -> tuple[QueueCounts, list[Worker]]:
        services = self._services
        counts = queue_counts(services.app)
        states = services.workers.by_node(ANSWER_SECONDS)
        done = activities(services.app, len(states), ANSWER_SECONDS)
        workers = workers_of(states, done)
        self._note_changes({worker.node for worker in workers})
        return counts, workers

    def _note_changes(self, nodes: set[str]) -> None:
        """One that is in a long task may miss a question, so it is only gone after two."""
        for node in sorted(nodes - self._known) if self._known else ():
            self._events.add(f"Worker {node} is here")
        gone = (self._known - nodes) & self._absent
        for node in sorted(gone):
            self._events.add(f"Worker {node} is gone", bad=True)
        self._absent = self._known - nodes - gone
        self._known = nodes | self._absent

    def _models(self) -> dict[str, Any]:
        services = self._services
        pinned = services.pinned
        in_use = pinned.trial.pinned.version if pinned.trial else None
        return {
            "in_force": pinned.version,
            "in_registry": len(services.registry.versions()),
            **comparison(services.registry, services.store, in_use),
        }

    def _read_jobs(self) -> dict[str, Any]:
        store = self._services.store
        jobs = store.page(SHOWN_JOBS)
        return {
            "states": store.counts(),
            "last": [
                {
                    "id": job.id,
                    "state": job.state,
                    "version": job.version,
                    "rows": job.rows,
                    "rows_done": job.rows_done,
                    "owner": job.owner or "",
                    "created": job.created,
                }
                for job in jobs
            ],
        }


def troubles(
    blocked: bool, counts: QueueCounts | None, workers: Sequence[Worker], models: dict[str, Any]
) -> list[str]:
    """What an operator should look at now."""
    found = []
    if blocked:
        found.append(
            "RabbitMQ accepts no messages, because its server is low on memory or disk. "
            "Make room: check df -h and free -m."
        )
    elif counts is None:
        found.append("RabbitMQ cannot be asked. Check that it runs.")
    elif not any(worker.takes_tasks for worker in workers):
        found.append("No worker answers. One that is in a long task answers later.")
    found += [f"{worker.node} cannot get {worker.lacks}" for worker in workers if worker.lacks]
    if models["active"] != models["in_force"]:
        found.append(
            f"{models['active']} is active, but the workers have not loaded it yet: "
            f"{models['in_force']} answers."
        )
    return found
