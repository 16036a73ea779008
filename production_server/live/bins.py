"""The bins in which inputs are counted, with their shares in the training data.

A card has no rows, but quantiles of each class. Together they say which share of the training rows
lies below any value. Pure functions.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from production_server.model.card import Card, Cohort, CohortGroup, Feature

# Each about an eighth to a quarter of the training rows.
CUTS = (0.1, 0.25, 0.5, 0.75, 0.9)
# Nothing is impossible because no training row had it.
LEAST_SHARE = 0.001
# A bin of fewer rows joins the next one.
SMALL = 0.03

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Bins:
    """The bins of one feature. The first one holds missing values, if 0 means that."""

    name: str
    title: str
    missing: bool
    edges: tuple[float, ...]
    expected: tuple[float, ...]

    def words(self, number: int) -> str:
        """What is in a bin."""
        if self.missing and number == 0:
            return "missing values"
        at = number - self.missing
        if not self.edges:
            return "values"
        if at == 0:
            return f"values below {self.edges[0]:.4g}"
        if at == len(self.edges):
            return f"values above {self.edges[-1]:.4g}"
        return f"values from {self.edges[at - 1]:.4g} to {self.edges[at]:.4g}"


def bins_of(card: Card) -> list[Bins]:
    """The bins of each feature; none for a card without a cohort."""
    cohort = card.cohort
    if cohort is None or not cohort.groups:
        return []
    return [_bins(feature, number, cohort) for number, feature in enumerate(card.features)]


def _bins(feature: Feature, number: int, cohort: Cohort) -> Bins:
    total = sum(group.share for group in cohort.groups) or 1.0
    absent = sum(group.share * group.missing[number] for group in cohort.groups) / total
    # A class counts for the rows of it that have a value.
    parts = [
        (group.share * (1 - group.missing[number]), _points(group, number, cohort.levels, feature))
        for group in cohort.groups
    ]
    edges = _edges(parts, feature)
    below = [0.0, *(_below(parts, edge) for edge in edges), 1.0]
    shares = [(1 - absent) * (high - low) for low, high in pairwise(below)]
    expected = [absent, *shares] if feature.zero_is_missing else shares
    least = [max(LEAST_SHARE, share) for share in expected]
    return Bins(
        feature.name,
        feature.title,
        feature.zero_is_missing,
        tuple(edges),
        tuple(share / sum(least) for share in least),
    )


def _points(group: CohortGroup, number: int, levels: Sequence[float], feature: Feature) -> Points:
    """Values of one class with the shares below them: quantiles, and an end at both sides."""
    values = group.quantiles[number]
    step = 10.0**-feature.decimals
    first = max(values[1] - values[0], step) if len(values) > 1 else step
    last = max(values[-1] - values[-2], step) if len(values) > 1 else step
    start = values[0] - first
    if feature.minimum is not None:
        start = min(max(start, feature.minimum - step / 2), values[0] - step / 2)
    points = [(start, 0.0), *zip(values, levels, strict=True), (values[-1] + last, 1.0)]
    # Of equal values, the highest level: so many rows have at most this value.
    return list(dict(points).items())


def _below(parts: Sequence[tuple[float, Points]], value: float) -> float:
    weight = sum(share for share, _ in parts) or 1.0
    return sum(share * _share(points, value) for share, points in parts) / weight


def _share(points: Points, value: float) -> float:
    at = bisect_left(points, value, key=lambda point: point[0])
    if at == 0:
        return 0.0
    if at == len(points):
        return 1.0
    (low, below), (high, above) = points[at - 1], points[at]
    return below + (above - below) * (value - low) / (high - low)


def _edges(parts: Sequence[tuple[float, Points]], feature: Feature) -> list[float]:
    """Values that cut the training rows at CUTS. Between two possible values, so none is on one."""
    step = 10.0**-feature.decimals
    ends = [point[0] for _, points in parts for point in points]
    edges: list[float] = []
    below = 0.0
    for cut in CUTS:
        low, high = min(ends), max(ends)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _below(parts, middle) < cut else (low, middle)
        edge = (math.floor(high / step + 1e-6) + 0.5) * step
        share = _below(parts, edge)
        if share - below >= SMALL <= 1 - share:
            edges.append(edge)
            below = share
    return edges
