"""The metrics of the jobs' database, which all processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from production_server.jobs.pruning import REASONS
from production_server.jobs.records import STATES, Usage


class StoreMetrics(Collector):
    """Jobs by state, their bytes and what was deleted; omitted while the store is unavailable."""

    def __init__(self, usage: Callable[[], Usage]) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        try:
            usage = self._usage()
        except SQLAlchemyError:
            return
        states = GaugeMetricFamily("stackserve_jobs", "Jobs by state", labels=["state"])
        for state in STATES:
            states.add_metric([state], usage.jobs.get(state, 0))
        yield states
        yield GaugeMetricFamily("stackserve_store_bytes", "Bytes of all jobs", usage.bytes)
        if usage.budget is not None:
            yield GaugeMetricFamily(
                "stackserve_store_bytes_limit", "Most bytes of all jobs", usage.budget
            )
        deleted = CounterMetricFamily(
            "stackserve_jobs_deleted", "Jobs that the recorder deleted", labels=["reason"]
        )
        for reason in REASONS:
            deleted.add_metric([reason], usage.pruned.get(reason, (0, 0))[0])
        yield deleted
