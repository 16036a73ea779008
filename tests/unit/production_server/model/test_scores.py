"""Scores, against definitions worked out the long way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from production_server.model import scores
from production_server.model.outputs import Binary, Multiclass, Regression

TRUTH = np.array([0, 0, 1, 1, 1, 0], float)
BINARY = Binary(classes=("no", "yes"))
CHANCE = np.array([0.1, 0.4, 0.4, 0.8, 0.9, 0.6])


def test_roc_auc_is_the_share_of_ordered_pairs() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 200).astype(float)
    score = random.integers(0, 20, 200).astype(float)  # many ties
    positive, negative = score[truth == 1], score[truth == 0]
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert scores.roc_auc(truth, score) == pytest.approx(np.mean(pairs))


def test_roc_auc_of_one_class_is_not_a_number() -> None:
    assert math.isnan(scores.roc_auc(np.ones(3), np.arange(3.0)))


def test_the_area_under_the_roc_points_is_the_auc() -> None:
    points = scores.roc_points(TRUTH, CHANCE)
    x = [point.false_positive_rate for point in points]
    y = [point.true_positive_rate for point in points]
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1))
    assert area == pytest.approx(scores.roc_auc(TRUTH, CHANCE), abs=1e-5)


def test_a_long_roc_curve_is_thinned_and_keeps_its_ends() -> None:
    random = np.random.default_rng(1)
    points = scores.roc_points(random.integers(0, 2, 5000).astype(float), random.random(5000))
    assert len(points) <= 400
    assert points[-1].false_positive_rate == points[-1].true_positive_rate == 1


def test_binary_measures() -> None:
    metrics = BINARY.measure(TRUTH, CHANCE[:, None], rows_train=10)
    assert metrics.confusion == [[2, 1], [1, 2]]
    assert metrics.accuracy == pytest.approx(4 / 6, abs=1e-6)
    assert metrics.brier == pytest.approx(np.mean((CHANCE - TRUTH) ** 2), abs=1e-6)
    assert metrics.held_out is not None
    assert metrics.held_out.truth == TRUTH.tolist()
    assert metrics.held_out.probability == CHANCE.tolist()
    assert (metrics.rows_train, metrics.rows_test) == (10, 6)


def test_the_threshold_moves_the_answers() -> None:
    metrics = Binary(classes=("no", "yes"), threshold=0.3).measure(TRUTH, CHANCE[:, None])
    assert metrics.confusion == [[1, 2], [0, 3]]


def test_calibration_bins_cover_every_row_once() -> None:
    random = np.random.default_rng(2)
    chance = random.random(1000)
    truth = (random.random(1000) < chance).astype(float)
    bins = scores.calibration(truth, np.append(chance[:-1], 1.0))
    assert sum(part.count for part in bins) == 1000
    for part in bins:
        assert part.low <= part.predicted <= part.high
        assert abs(part.predicted - part.observed) < 0.2


def test_certain_and_wrong_is_a_finite_loss() -> None:
    metrics = BINARY.measure(np.array([0.0, 1.0]), np.array([[1.0], [0.0]]))
    assert metrics.log_loss is not None
    assert 10 < metrics.log_loss < 100
    assert metrics.roc_auc == 0


def test_one_class_only_has_no_auc_and_no_curve() -> None:
    metrics = BINARY.measure(np.ones(3), np.array([[0.9], [0.8], [0.2]]))
    assert metrics.roc_auc is None
    assert metrics.roc == []


def test_multiclass_measures() -> None:
    answers = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.0, 0.1, 0.9]])
    metrics = Multiclass(classes=("a", "b", "c")).measure(np.array([0.0, 1.0, 2.0, 2.0]), answers)
    assert metrics.confusion == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert metrics.accuracy == 0.75
    assert metrics.roc_auc == 1.0, "every class is ranked above the rest"


def test_regression_measures() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    metrics = Regression().measure(truth, np.array([[1.0], [2.0], [6.0]]))
    assert metrics.mae == 1.0
    assert metrics.rmse == pytest.approx(math.sqrt(3), abs=1e-6)
    assert metrics.r2 == pytest.approx(1 - 9 / 2)
    assert metrics.confusion == []
