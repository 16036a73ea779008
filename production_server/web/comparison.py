"""Both versions of a trial side by side: one value for GET /rollout, pages and tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from production_server.jobs.counting import OUTCOMES
from production_server.jobs.reader import Reader
from production_server.model import rollout
from production_server.model.card import Card
from production_server.model.health import failure_share, health, quantile
from production_server.model.registry import Registry
from production_server.web.tallies import BINS

Counts = Mapping[str, float]


def comparison(registry: Registry, store: Reader, in_use: str | None = None) -> dict[str, Any]:
    """The state of the rollout. `in_use` is the candidate that this process sends requests to."""
    active = registry.active()
    trial = rollout.candidate(registry)
    event = rollout.last_event(registry)
    outcomes = store.counted(OUTCOMES)
    told: dict[str, Any] = {
        "active": active,
        "previous": rollout.previous(registry),
        "candidate": None,
        "last_event": event.model_dump(mode="json") if event else None,
        "versions": {},
    }
    counts: Mapping[str, Counts] = {}
    if trial is not None:
        counts = store.counted(trial.number)
        found = health(trial, counts.get(active, {}), counts.get(trial.version, {}))
        told["candidate"] = {
            **trial.model_dump(mode="json"),
            "in_use": in_use == trial.version,
            "verdict": found.verdict,
            "why": found.why,
        }
    for version in dict.fromkeys([active, *([trial.version] if trial else [])]):
        card = registry.card(version)
        told["versions"][version] = side(card, counts.get(version, {}), outcomes.get(version, {}))
    return told


def side(card: Card, counts: Counts, outcomes: Counts) -> dict[str, Any]:
    """What was counted of a version in this trial, and of its outcomes at any time."""
    return {
        "requests": int(counts.get("requests", 0)),
        "failures": int(counts.get("failures", 0)),
        "failure_share": failure_share(counts),
        "seconds": _durations(counts, "took"),
        "inference_seconds": _durations(counts, "inference"),
        "answers": _answers(card, counts),
        "shadow": {
            "compared": int(counts.get("compared", 0)),
            "agreed": int(counts.get("agreed", 0)),
            "dropped": int(counts.get("dropped", 0)),
        },
        "outcomes": measured(card, outcomes),
    }


def _durations(counts: Counts, what: str) -> dict[str, float | None]:
    return {
        name: quantile(counts, what, share)
        for name, share in (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
    }


def _answers(card: Card, counts: Counts) -> dict[str, Any]:
    """How the answers are spread, over the first rows of each request."""
    rows = counts.get("rows", 0)
    labels = card.output.labels
    told: dict[str, Any] = {"rows": int(rows)}
    if card.output.probabilities:
        told["shares"] = {
            label: counts.get(f"label:{number}", 0) / rows if rows else None
            for number, label in enumerate(labels)
        }
        told["probabilities"] = [int(counts.get(f"bin:{number}", 0)) for number in range(BINS)]
        return told
    mean = counts.get("sum", 0) / rows if rows else None
    variance = counts.get("squares", 0) / rows - mean**2 if mean is not None else 0.0
    told["mean"] = mean
    told["standard_deviation"] = max(0.0, variance) ** 0.5 if rows else None
    return told


def measured(card: Card, outcomes: Counts) -> dict[str, Any]:
    """How often the predictions came true, or how far they were off."""
    count = outcomes.get("outcomes", 0)
    if card.output.probabilities:
        right = outcomes.get("right", 0)
        return {"count": int(count), "accuracy": right / count if count else None}
    return {
        "count": int(count),
        "mean_absolute_error": outcomes.get("errors", 0) / count if count else None,
        "root_mean_square_error": (outcomes.get("squares", 0) / count) ** 0.5 if count else None,
    }
