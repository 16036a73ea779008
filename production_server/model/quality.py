"""Whether a new version is clearly worse than another one, by the metrics in their cards."""

from __future__ import annotations

import math
from dataclasses import dataclass

from production_server.errors import GateError
from production_server.model.card import Card
from production_server.model.metrics import Metrics

# On the same rows: rounding on another processor.
SLACK = 0.005
# On other rows: so many standard errors of the difference.
ERRORS = 2.0


@dataclass(frozen=True)
class Figure:
    """One metric of a card, with its standard error. `sign` is -1 if lower is better."""

    name: str
    value: float
    error: float
    sign: int = 1


def refuse_worse(card: Card, active: Card, *, force: bool = False) -> list[str]:
    """Raise GateError if it is clearly worse. Return notes on what was compared."""
    new, old = figure(card.metrics), figure(active.metrics)
    if new is None or old is None or new.name != old.name:
        who = card.version if new is None else active.version
        return [f"the card of {who} has no metrics to compare"]
    same = same_rows(card, active)
    slack = (
        SLACK * (old.value if old.sign < 0 else 1)
        if same
        else ERRORS * math.hypot(new.error, old.error)
    )
    rows = "the same held-out rows" if same else "its own held-out rows"
    compared = (
        f"{new.name} {new.value:.4f}, {old.value:.4f} of the active {active.version} on {rows}"
    )
    if old.sign * (old.value - new.value) <= slack:
        return [compared]
    if force:
        return [f"{compared}: worse, but forced"]
    raise GateError(
        "worse",
        f"it is clearly worse: {compared}",
        "Improve the data or the model, or accept it anyway with --force.",
    )


def same_rows(card: Card, active: Card) -> bool:
    """Whether both were measured on the same rows, as far as the cards tell."""
    new, old = card.metrics, active.metrics
    if not card.data_sha256 or card.data_sha256 != active.data_sha256 or not new or not old:
        return False
    truths = [one.held_out.truth if one.held_out else None for one in (new, old)]
    return truths[0] == truths[1] and new.rows_test == old.rows_test


def figure(metrics: Metrics | None) -> Figure | None:
    """What decides: the ROC AUC, or else the accuracy, or else the root mean square error."""
    if metrics is None or metrics.rows_test < 1:
        return None
    count = metrics.rows_test
    if metrics.roc_auc is not None:
        return Figure("ROC AUC", metrics.roc_auc, _auc_error(metrics.roc_auc, metrics))
    if metrics.accuracy is not None:
        chance = metrics.accuracy
        return Figure("accuracy", chance, math.sqrt(chance * (1 - chance) / count))
    if metrics.rmse is not None:
        return Figure("RMSE", metrics.rmse, metrics.rmse / math.sqrt(2 * count), -1)
    return None


def _auc_error(auc: float, metrics: Metrics) -> float:
    """The standard error of an area under the curve, after Hanley and McNeil (1982)."""
    if len(metrics.confusion) == 2:
        negatives, positives = (max(1, sum(row)) for row in metrics.confusion)
    else:
        negatives = positives = max(1, metrics.rows_test // 2)
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    return math.sqrt(max(0.0, spread) / (positives * negatives))
