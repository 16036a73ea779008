"""Collects the problems and warnings of an upload.

A problem refuses the upload; a warning only counts implausible values. The checks run on whole
blocks of numbers, and only rows that fail them are checked value by value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from production_server.model.card import Card, Feature

Unit = Literal["line", "row"]
SHOWN = 20  # problems that are listed in the answer

# Counting stops here: describing a problem takes a hundred times as long as reading a valid row.
MOST_COUNTED = 10_000

FLOAT32_LIMIT = 2.0**128 - 2.0**103  # numbers from here on become infinite as float32

Values = NDArray[np.float64]


@dataclass(frozen=True)
class RowProblem:
    """One problem. `where` is a line of a CSV file (from 1) or a row of a JSON list (from 0)."""

    code: str
    where: int
    field: str | None
    detail: str


@dataclass
class Implausible:
    """How many values of a feature are outside its plausible range, and where the first one is."""

    count: int
    first: int


@dataclass
class Ledger:
    """All problems and warnings of one upload so far."""

    unit: Unit
    card: Card
    problems: list[RowProblem] = field(default_factory=list)
    count: int = 0
    implausible: dict[str, Implausible] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def problem(self, code: str, where: int, name: str | None, detail: str) -> None:
        self.count += 1
        if len(self.problems) < SHOWN:
            self.problems.append(RowProblem(code, where, name, detail))

    @property
    def full(self) -> bool:
        """Whether there are so many problems that the rest of the upload is not read."""
        return self.count >= MOST_COUNTED

    def ignore(self, names: list[str]) -> None:
        for name in names:
            if name not in self.ignored and len(self.ignored) < SHOWN:
                self.ignored.append(name)

    def warnings(self) -> list[dict[str, Any]]:
        """The warnings in the API's format, in the order of the features."""
        warnings = []
        for feature in self.card.features:
            if found := self.implausible.get(feature.name):
                warnings.append(
                    {
                        "code": "implausible",
                        "field": feature.name,
                        "count": found.count,
                        f"first_{self.unit}": found.first,
                        "detail": f"{found.count} values of {feature.name} are outside "
                        f"{feature.low:g} to {feature.high:g}",
                    }
                )
        return warnings

    def errors(self) -> list[dict[str, Any]]:
        """The problems in the API's format."""
        return [
            {
                self.unit: problem.where,
                "field": problem.field or "",
                "code": problem.code,
                "detail": problem.detail,
                "remedy": self._remedy(problem),
            }
            for problem in self.problems
        ]

    def _remedy(self, problem: RowProblem) -> str:
        if problem.code == "unknown_field":
            return "Remove it, or send the file with ?ignore_unknown=true."
        for feature in self.card.features:
            if feature.name == problem.field and problem.code != "missing_column":
                return remedy(feature)
        return f"The model's features, in any order: {', '.join(self.card.feature_names)}."


class Bounds:
    """The card's ranges as arrays."""

    def __init__(self, card: Card) -> None:
        features = card.features
        self.features = features
        self.low = np.array([f.low for f in features])
        self.high = np.array([f.high for f in features])
        self.minimum = np.array([-np.inf if f.minimum is None else f.minimum for f in features])
        self.maximum = np.array([np.inf if f.maximum is None else f.maximum for f in features])
        self.zero_is_missing = np.array([f.zero_is_missing for f in features])

    def refused(self, values: Values) -> NDArray[np.bool_]:
        """Mask of the rows with a value that is NaN, impossible, or infinite as float32."""
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = ~np.isfinite(values.astype(np.float32))
            wrong |= ((values < self.minimum) | (values > self.maximum)) & ~self._zero(values)
        return np.array(wrong.any(axis=1), dtype=np.bool_)

    def count_implausible(self, values: Values, where: NDArray[np.int64], ledger: Ledger) -> None:
        """Add the implausible values of valid rows to the ledger."""
        outside = ((values < self.low) | (values > self.high)) & ~self._zero(values)
        for column in np.flatnonzero(outside.any(axis=0)):
            rows = np.flatnonzero(outside[:, column])
            name = self.features[column].name
            entry = ledger.implausible.setdefault(name, Implausible(0, int(where[rows[0]])))
            entry.count += len(rows)

    def _zero(self, values: Values) -> NDArray[np.bool_]:
        return np.array((values == 0) & self.zero_is_missing, dtype=np.bool_)


def check_value(feature: Feature, value: float) -> tuple[str, str] | None:
    """The code and detail of the problem with a number that Bounds refuses; None for others."""
    shown = f"{value:g}"
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return "nan", f"{feature.name} is not a number (NaN)"
    if abs(value) >= FLOAT32_LIMIT:
        return "infinite", f"{feature.name} is {shown}, which is infinite or too large"
    if value == 0 and feature.zero_is_missing:
        return None
    if feature.minimum is not None and value < feature.minimum:
        return "impossible", f"{feature.name} is {shown}, below the minimum of {feature.minimum:g}"
    if feature.maximum is not None and value > feature.maximum:
        return "impossible", f"{feature.name} is {shown}, above the maximum of {feature.maximum:g}"
    return None


def remedy(feature: Feature) -> str:
    """What to send instead of an invalid value."""
    unit = f" {feature.unit}" if feature.unit else ""
    missing = ", or 0 where it was not measured" if feature.zero_is_missing else ""
    return f"Give a number, usually {feature.low:g} to {feature.high:g}{unit}{missing}."
