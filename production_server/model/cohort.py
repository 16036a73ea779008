"""Synthetic rows that resemble the training data, drawn from summary statistics.

`summarise` reduces each class to quantiles, correlations and shares of missing values. `sample`
draws rows from them with a Gaussian copula. No row of the data is stored or returned.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from production_server.model.card import Card, Cohort, CohortGroup, Feature

Array = NDArray[np.float64]
Row = dict[str, float]
# Without 0 and 1, because minimum and maximum are values of single patients.
LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def summarise(
    features: list[Feature], rows: Array, groups: list[tuple[str | None, NDArray[np.bool_]]]
) -> Cohort:
    """Summarise each group of rows, given as a label and a mask."""
    return Cohort(
        levels=list(LEVELS),
        groups=[
            _group(features, rows[mask], label, float(mask.mean()))
            for label, mask in groups
            if mask.any()
        ],
    )


def sample(card: Card, n: int, seed: int) -> list[tuple[Row, str | None]]:
    """`n` synthetic rows with their classes. The same seed gives the same rows."""
    random = np.random.default_rng(seed)
    if card.cohort is None:
        return [(row, None) for row in _plausible(card.features, n, random)]
    groups = card.cohort.groups
    drawn: list[tuple[Row, str | None]] = []
    for group, count in zip(groups, _shares([group.share for group in groups], n), strict=True):
        rows = _draw(card.features, card.cohort.levels, group, count, random)
        drawn += [(row, group.label) for row in rows]
    return [drawn[i] for i in random.permutation(len(drawn))]


def _group(features: list[Feature], rows: Array, label: str | None, share: float) -> CohortGroup:
    maskable = np.array([feature.zero_is_missing for feature in features])
    present = ~(maskable & (rows == 0))
    columns = [rows[present[:, j], j] for j in range(rows.shape[1])]
    # For a column without any value, use the default.
    columns = [
        column if len(column) else np.array([feature.default])
        for column, feature in zip(columns, features, strict=True)
    ]
    return CohortGroup(
        label=label,
        share=round(share, 6),
        count=len(rows),
        missing=[round(float(1 - present[:, j].mean()), 4) for j in range(rows.shape[1])],
        means=[_short(column.mean()) for column in columns],
        sds=[_short(column.std()) for column in columns],
        quantiles=[[_short(q) for q in np.quantile(column, LEVELS)] for column in columns],
        correlations=_correlations(rows, present),
    )


def _correlations(rows: Array, present: NDArray[np.bool_]) -> list[list[float]]:
    """Correlations of normal scores over the rows that have both values."""
    width = rows.shape[1]
    table = np.eye(width)
    for i in range(width):
        for j in range(i):
            both = present[:, i] & present[:, j]
            if both.sum() > 2:
                a, b = _normal_scores(rows[both, i]), _normal_scores(rows[both, j])
                spread = a.std() * b.std()
                if spread > 0:
                    table[i, j] = table[j, i] = ((a - a.mean()) * (b - b.mean())).mean() / spread
    rounded: list[list[float]] = np.round(table, 4).tolist()
    return rounded


def _normal_scores(column: Array) -> Array:
    _, place, count = np.unique(column, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    normal = NormalDist()
    return np.array([normal.inv_cdf((rank - 0.5) / len(column)) for rank in ranks])


def _shares(shares: list[float], n: int) -> list[int]:
    """Split `n` by shares, with the largest remainder method."""
    exact = np.array(shares) / sum(shares) * n
    counts = np.floor(exact).astype(int)
    for i in np.argsort(counts - exact, kind="stable")[: n - counts.sum()]:
        counts[i] += 1
    split: list[int] = counts.tolist()
    return split


def _draw(
    features: list[Feature],
    levels: list[float],
    group: CohortGroup,
    count: int,
    random: np.random.Generator,
) -> list[Row]:
    scores = random.standard_normal((count, len(features))) @ _root(group.correlations).T
    missing = random.random(scores.shape) < np.array(group.missing)
    normal = NormalDist()
    cuts = [normal.inv_cdf(level) for level in levels]
    columns = [
        _rounded(np.interp(scores[:, j], cuts, group.quantiles[j]), feature)
        for j, feature in enumerate(features)
    ]
    values = np.where(missing, 0.0, np.column_stack(columns))
    return _rows(features, values)


def _root(correlations: list[list[float]]) -> Array:
    """A square root of the nearest valid matrix; pairwise correlations can be indefinite."""
    values, vectors = np.linalg.eigh(np.array(correlations))
    root = vectors * np.sqrt(np.maximum(values, 0))
    length = np.sqrt((root**2).sum(axis=1, keepdims=True))
    unit: Array = root / np.maximum(length, 1e-12)
    return unit


def _plausible(features: list[Feature], n: int, random: np.random.Generator) -> list[Row]:
    """Rows for a model without a cohort: plausible values, most of them near the defaults."""
    columns = [
        _rounded(random.triangular(f.low, min(max(f.default, f.low), f.high), f.high, size=n), f)
        for f in features
    ]
    return _rows(features, np.column_stack(columns))


def _rounded(column: Array, feature: Feature) -> Array:
    bottom = -np.inf if feature.minimum is None else feature.minimum
    top = np.inf if feature.maximum is None else feature.maximum
    return np.clip(np.round(column, feature.decimals), bottom, top)


def _rows(features: list[Feature], values: Array) -> list[Row]:
    names = [feature.name for feature in features]
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


def _short(number: float | np.floating) -> float:
    return float(f"{float(number):.5g}")
