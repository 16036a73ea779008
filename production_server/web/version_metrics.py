"""Metrics of each version for Prometheus: from the trial, if there is one, and of all outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from production_server.jobs.counting import OUTCOMES
from production_server.jobs.reader import Reader
from production_server.model import rollout
from production_server.model.registry import Registry

# (metric, its help, the name of its amount)
TRIAL = (
    ("stackserve_trial_requests", "Requests since the trial began", "requests"),
    ("stackserve_trial_failures", "Failed requests since the trial began", "failures"),
    ("stackserve_trial_seconds", "Seconds of all answers since the trial began", "seconds"),
)
KNOWN = (
    ("stackserve_outcomes", "Predictions whose outcome is known", "outcomes"),
    ("stackserve_outcomes_right", "Predictions of a label that came true", "right"),
)


class VersionMetrics(Collector):
    """Read from the database that all processes share; omitted while it is unavailable."""

    def __init__(self, registry: Registry, store: Reader) -> None:
        self._registry = registry
        self._store = store

    def collect(self) -> Iterator[Metric]:
        trial = rollout.candidate(self._registry)
        try:
            counted = self._store.counted(trial.number) if trial else {}
            outcomes = self._store.counted(OUTCOMES)
        except SQLAlchemyError:
            return
        if trial is not None:
            share = GaugeMetricFamily(
                "stackserve_trial_share",
                "Share of the version on trial",
                labels=["version", "mode"],
            )
            share.add_metric([trial.version, trial.mode], trial.share)
            yield share
        for metric, text, name in TRIAL:
            yield from _by_version(metric, text, name, counted)
        for metric, text, name in KNOWN:
            yield from _by_version(metric, text, name, outcomes)


def _by_version(
    metric: str, text: str, name: str, counts: Mapping[str, Mapping[str, float]]
) -> Iterator[Metric]:
    if not counts:
        return
    found = CounterMetricFamily(metric, text, labels=["version"])
    for version, amounts in sorted(counts.items()):
        found.add_metric([version], amounts.get(name, 0))
    yield found
