"""How good answers are: pure functions from truth and answers to numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from production_server.model.card import CalibrationBin, HeldOut, Kind, Metrics, RocPoint

Array = NDArray[np.float64]
_MOST_ROC_POINTS = 400
_MOST_HELD_OUT = 5000  # keeps a card of a large data set readable and quick to load
_EPSILON = 1e-7


def roc_auc(truth: Array, score: Array) -> float:
    """Chance that a random positive scores above a random negative; ties count half."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    above = ranks[truth == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def roc_points(truth: Array, score: Array) -> list[RocPoint]:
    """The curve from (0, 0) to (1, 1), a point a distinct score, thinned when there are many."""
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
    """Predicted against observed in equal bins of probability; empty bins are left out."""
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


def confusion(truth: NDArray[np.int64], answer: NDArray[np.int64], classes: int) -> list[list[int]]:
    """Counts: row the truth, column the answer."""
    counts = np.bincount(truth * classes + answer, minlength=classes * classes)
    table: list[list[int]] = counts.reshape(classes, classes).tolist()
    return table


def measure(
    kind: Kind, truth: Array, answers: Array, *, threshold: float = 0.5, rows_train: int = 0
) -> Metrics:
    """Every score that a kind of model has, for answers [n, width] against truth [n]."""
    if kind == "binary":
        return _binary(truth, answers[:, 0], threshold, rows_train)
    if kind == "multiclass":
        return _multiclass(truth, answers, rows_train)
    return _regression(truth, answers[:, 0], rows_train)


def _binary(truth: Array, probability: Array, threshold: float, rows_train: int) -> Metrics:
    answer = (probability >= threshold).astype(np.int64)
    safe = np.clip(probability, _EPSILON, 1 - _EPSILON)
    loss = -np.mean(truth * np.log(safe) + (1 - truth) * np.log(1 - safe))
    both = 0 < truth.sum() < len(truth)
    return Metrics(
        rows_train=rows_train,
        rows_test=len(truth),
        accuracy=_short(np.mean(answer == truth)),
        roc_auc=_short(roc_auc(truth, probability)) if both else None,
        brier=_short(np.mean((probability - truth) ** 2)),
        log_loss=_short(loss),
        confusion=confusion(truth.astype(np.int64), answer, 2),
        calibration=calibration(truth, probability),
        roc=roc_points(truth, probability) if both else [],
        held_out=_held_out(truth, probability),
    )


def _multiclass(truth: Array, probability: Array, rows_train: int) -> Metrics:
    classes = probability.shape[1]
    index = truth.astype(np.int64)
    answer = probability.argmax(axis=1)
    chosen = np.clip(probability[np.arange(len(index)), index], _EPSILON, 1.0)
    one_hot = np.eye(classes)[index]
    each = [roc_auc(one_hot[:, c], probability[:, c]) for c in np.unique(index)]
    return Metrics(
        rows_train=rows_train,
        rows_test=len(truth),
        accuracy=_short(np.mean(answer == index)),
        # One class against the rest, averaged over the classes that occur.
        roc_auc=_short(np.mean(each)) if len(each) > 1 else None,
        brier=_short(np.mean(((probability - one_hot) ** 2).sum(axis=1))),
        log_loss=_short(-np.mean(np.log(chosen))),
        confusion=confusion(index, answer, classes),
        held_out=_held_out(truth, probability),
    )


def _regression(truth: Array, value: Array, rows_train: int) -> Metrics:
    error = value - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    return Metrics(
        rows_train=rows_train,
        rows_test=len(truth),
        mae=_short(np.abs(error).mean()),
        rmse=_short(np.sqrt((error**2).mean())),
        r2=_short(1 - (error**2).sum() / spread) if spread else None,
        held_out=_held_out(truth, value),
    )


def _held_out(truth: Array, answers: Array) -> HeldOut:
    part = slice(0, _MOST_HELD_OUT)
    return HeldOut(truth=truth[part].tolist(), probability=np.round(answers[part], 6).tolist())


def _short(number: float | np.floating) -> float:
    return round(float(number), 6)
