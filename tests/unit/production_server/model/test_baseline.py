"""The logistic regression that networks are compared with."""

from __future__ import annotations

import numpy as np
import pytest

from production_server.model.baseline import LogisticRegression, Scaling

NEVER = np.array([False, False])


def test_it_finds_the_weights_behind_the_data() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((20_000, 2))
    chance = 1 / (1 + np.exp(-(0.5 + 2 * rows[:, 0] - rows[:, 1])))
    truth = (random.random(len(rows)) < chance).astype(float)
    fitted = LogisticRegression.fit(rows, truth, NEVER)
    assert fitted.weights == pytest.approx([0.5, 2.0, -1.0], abs=0.1)
    assert fitted.probability(rows) == pytest.approx(chance, abs=0.05)


def test_it_maximizes_the_likelihood() -> None:
    random = np.random.default_rng(1)
    rows = random.standard_normal((300, 2)) * [3, 100] + [5, 1000]
    truth = (random.random(300) < 0.3).astype(float)
    fitted = LogisticRegression.fit(rows, truth, NEVER)
    design = np.column_stack([np.ones(300), fitted.scaling.apply(rows)])
    slope = design.T @ (truth - fitted.probability(rows))
    assert np.abs(slope).max() < 1e-4


def test_missing_values_count_as_the_mean_and_do_not_change_it() -> None:
    rows = np.array([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]])
    scaling = Scaling.of(rows, np.array([True, False]))
    assert scaling.means.tolist() == [3.0, 2.0]
    assert scaling.apply(rows)[0, 0] == 0.0
    assert scaling.apply(rows)[0, 1] < 0


def test_a_constant_column_is_harmless() -> None:
    rows = np.column_stack([np.arange(50.0), np.full(50, 7.0)])
    truth = (np.arange(50) % 3 == 0).astype(float)
    assert np.isfinite(LogisticRegression.fit(rows, truth, NEVER).weights).all()


def test_extreme_rows_do_not_overflow() -> None:
    fitted = LogisticRegression(Scaling(NEVER, np.zeros(2), np.ones(2)), np.array([0.0, 1e3, 0.0]))
    assert fitted.probability(np.array([[1e3, 0.0], [-1e3, 0.0]])).tolist() == [1.0, 0.0]
