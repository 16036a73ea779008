"""The web tier's metrics for Prometheus, summed over its processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from production_server.batch_sizes import LARGEST_BATCH
from production_server.jobs.records import Usage
from production_server.live.bins import Bins
from production_server.live.drift import drift_metric, drifts, summed
from production_server.web.store_metrics import StoreMetrics

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TINY = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1)
POWERS_OF_TWO = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SIZES = (*(size for size in POWERS_OF_TWO if size < LARGEST_BATCH), LARGEST_BATCH)


class Metrics:
    """The metrics of one web process."""

    def __init__(self, folder: Path | None, registry: CollectorRegistry | None = None) -> None:
        """With a folder, the web processes share their values through files in it.

        Settings.share_with_children passes the folder to prometheus_client before its import.
        """
        self._folder = folder
        into = registry or REGISTRY
        self.requests = Counter(
            "stackserve_requests", "Answered requests", ["route", "status"], registry=into
        )
        self.seconds = Histogram(
            "stackserve_request_seconds",
            "Duration of a request",
            ["route"],
            buckets=FAST,
            registry=into,
        )
        self.failures = Counter(
            "stackserve_failures", "Requests that failed, by code", ["code"], registry=into
        )
        self.loop_failures = Counter(
            "stackserve_loop_failures", "Failed looks for a new active model", registry=into
        )
        self.batch_rows = Histogram(
            "stackserve_batch_rows", "Rows in a batch", buckets=SIZES, registry=into
        )
        self.queue_seconds = Histogram(
            "stackserve_queue_seconds",
            "Time from sending a batch to its answer, without inference",
            buckets=FAST,
            registry=into,
        )
        self.inference_seconds = Histogram(
            "stackserve_inference_seconds",
            "Inference time of a batch",
            buckets=TINY,
            registry=into,
        )
        self._waiting = Gauge(
            "stackserve_waiting_requests",
            "Requests that wait for an answer",
            multiprocess_mode="livesum",
            registry=into,
        )
        self._blocked = Gauge(
            "stackserve_broker_blocked",
            "1 while RabbitMQ accepts no messages, because its server is low on memory or disk",
            multiprocess_mode="livemax",
            registry=into,
        )
        self._input_rows = Gauge(
            "stackserve_input_rows",
            "Rows of a sample of the latest inputs, by feature and bin",
            ["feature", "bin"],
            multiprocess_mode="livesum",
            registry=into,
        )
        self._registry = into

    def loop_failed(self) -> None:
        self.loop_failures.inc()

    def waiting(self, requests: int) -> None:
        self._waiting.set(requests)

    def blocked(self, blocked: bool) -> None:
        self._blocked.set(blocked)

    def batch(self, rows: int, waited: float, inference: float) -> None:
        self.batch_rows.observe(rows)
        self.queue_seconds.observe(max(0.0, waited - inference))
        self.inference_seconds.observe(inference)

    def input_rows(self, feature: str, number: int, rows: float) -> None:
        self._input_rows.labels(feature, str(number)).set(rows)

    def families(self) -> Iterable[Metric]:
        """The metrics of all web processes."""
        return self._all().collect()

    def _all(self) -> CollectorRegistry:
        if self._folder is None:
            return self._registry
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(  # type: ignore[no-untyped-call]
            registry, path=str(self._folder)
        )
        return registry

    def text(
        self,
        usage: Callable[[], Usage],
        bins: Sequence[Bins] = (),
        more: Collector | None = None,
    ) -> tuple[bytes, str]:
        """All metrics, with those of the jobs' database, the drift of the inputs and `more`."""
        families = list(self.families())
        if bins:
            families.append(drift_metric(drifts(bins, summed(families, bins))))
        # Read from the store that all processes share, so not summed over the processes.
        families += StoreMetrics(usage).collect()
        if more is not None:
            families += more.collect()
        return generate_latest(Collected(families)), CONTENT_TYPE_LATEST


class Collected:
    """What was collected already, as a registry."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def forget_process(folder: Path | None, pid: int) -> None:
    """Drop the gauges of a process that has died. Its counters stay in the sums."""
    if folder is not None:
        multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
