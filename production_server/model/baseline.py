"""The baseline for networks: logistic regression, fitted with Newton's method.

Like the network's hidden layers, it gets standardized values, with missing ones set to the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_RIDGE = 1e-6  # keeps the Hessian invertible for a constant column; too small to shrink weights
_STEPS = 50


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each column, without missing values."""

    zero_is_missing: NDArray[np.bool_]
    means: Array
    sds: Array

    @classmethod
    def of(cls, rows: Array, zero_is_missing: NDArray[np.bool_]) -> Scaling:
        present = ~(zero_is_missing & (rows == 0))
        counts = np.maximum(present.sum(axis=0), 1)
        means = (rows * present).sum(axis=0) / counts
        sds = np.sqrt((((rows - means) * present) ** 2).sum(axis=0) / counts)
        return cls(zero_is_missing, means, np.where(sds > 0, sds, 1.0))

    def apply(self, rows: Array) -> Array:
        present = ~(self.zero_is_missing & (rows == 0))
        scaled: Array = (rows - self.means) / self.sds * present
        return scaled


@dataclass(frozen=True)
class LogisticRegression:
    scaling: Scaling
    weights: Array

    @classmethod
    def fit(
        cls, rows: Array, truth: Array, zero_is_missing: NDArray[np.bool_]
    ) -> LogisticRegression:
        scaling = Scaling.of(rows, zero_is_missing)
        design = _with_intercept(scaling.apply(rows))
        weights = np.zeros(design.shape[1])
        for _ in range(_STEPS):
            probability = _sigmoid(design @ weights)
            curvature = probability * (1 - probability)
            hessian = design.T @ (design * curvature[:, None]) + _RIDGE * np.eye(len(weights))
            step = np.linalg.solve(hessian, design.T @ (truth - probability) - _RIDGE * weights)
            weights = weights + step
            if np.abs(step).max() < 1e-9:
                break
        return cls(scaling, weights)

    def probability(self, rows: Array) -> Array:
        return _sigmoid(_with_intercept(self.scaling.apply(rows)) @ self.weights)


def _with_intercept(rows: Array) -> Array:
    return np.column_stack([np.ones(len(rows)), rows])


def _sigmoid(score: Array) -> Array:
    probability: Array = 0.5 * (1 + np.tanh(0.5 * score))  # does not overflow
    return probability
