"""The quality of predictions: pure functions from true and predicted values to numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from production_server.model.metrics import CalibrationBin, HeldOut, RocPoint

Array = NDArray[np.float64]
_MOST_ROC_POINTS = 400
_MOST_HELD_OUT = 5000  # keeps the card of a large data set readable and quick to load
_EPSILON = 1e-7


def roc_auc(truth: Array, score: Array) -> float:
    """The chance that a random positive scores above a random negative. Ties count half."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    above = ranks[truth == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def roc_points(truth: Array, score: Array) -> list[RocPoint]:
    """The curve from (0, 0) to (1, 1), one point per distinct score, thinned if there are many."""
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(truth[order])[last_of_tie]
    alarms = last_of_tie + 1 - hits
    right = np.concatenate([[0.0], hits / max(hits[-1], 1)])
    wrong = np.concatenate([[0.0], alarms / max(alarms[-1], 1)])
    keep = np.unique(np.linspace(0, len(right) - 1, _MOST_ROC_POINTS).round().astype(int))
    return [
        RocPoint(
            false_positive_rate=round(float(wrong[i]), 6),
            true_positive_rate=round(float(right[i]), 6),
        )
        for i in keep
    ]


def calibration(truth: Array, probability: Array, bins: int = 10) -> list[CalibrationBin]:
    """Predicted against observed in equal bins of probability, without the empty bins."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    return [
        CalibrationBin(
            low=round(index / bins, 6),
            high=round((index + 1) / bins, 6),
            count=int((place == index).sum()),
            predicted=round(float(probability[place == index].mean()), 6),
            observed=round(float(truth[place == index].mean()), 6),
        )
        for index in range(bins)
        if (place == index).any()
    ]


def confusion(truth: Array, answer: NDArray[Any], classes: int) -> list[list[int]]:
    """Counts by true class (row) and predicted class (column)."""
    places = truth.astype(np.int64) * classes + answer
    counts = np.bincount(places, minlength=classes * classes)
    table: list[list[int]] = counts.reshape(classes, classes).tolist()
    return table


def log_loss(truth: Array, chance: Array) -> float:
    """Of the probability of the positive class."""
    safe = np.clip(chance, _EPSILON, 1 - _EPSILON)
    return short(-np.mean(truth * np.log(safe) + (1 - truth) * np.log(1 - safe)))


def log_loss_of_classes(truth: Array, chances: Array) -> float:
    """Of a probability for each class."""
    index = truth.astype(np.int64)
    chosen = np.clip(chances[np.arange(len(index)), index], _EPSILON, 1.0)
    return short(-np.mean(np.log(chosen)))


def one_hot(truth: Array, classes: int) -> Array:
    return np.eye(classes)[truth.astype(np.int64)]


def held_out(truth: Array, answers: Array) -> HeldOut:
    part = slice(0, _MOST_HELD_OUT)
    return HeldOut(truth=truth[part].tolist(), probability=np.round(answers[part], 6).tolist())


def short(number: float | np.floating) -> float:
    return round(float(number), 6)
