"""What is wrong (problems: the upload is refused) or odd (warnings: counted) in uploaded rows.

The checks run on whole blocks of numbers; only a row that fails them is looked at one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from production_server.model.card import Card, Feature

Unit = Literal["line", "row"]
SHOWN = 20  # problems told in full: enough to see a pattern, and the answer stays small

# Describing a wrong row takes a hundred times as long as reading a right one: then it is enough.
MOST_COUNTED = 10_000

FLOAT32_LIMIT = 2.0**128 - 2.0**103  # from here on a number rounds to infinity as float32

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """One problem: where is a line of the file (CSV, from 1) or a row (JSON, from 0)."""

    code: str
    where: int
    field: str | None
    detail: str


@dataclass
class Odd:
    """How many values of a feature are out of its plausible range, and where the first one is."""

    count: int
    first: int


@dataclass
class Ledger:
    """Everything found so far in one upload."""

    unit: Unit
    card: Card
    found: list[Found] = field(default_factory=list)
    count: int = 0
    odd: dict[str, Odd] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def problem(self, code: str, where: int, name: str | None, detail: str) -> None:
        self.count += 1
        if len(self.found) < SHOWN:
            self.found.append(Found(code, where, name, detail))

    @property
    def full(self) -> bool:
        """Whether so much is wrong that the rest of the upload need not be read."""
        return self.count >= MOST_COUNTED

    def ignore(self, names: list[str]) -> None:
        for name in names:
            if name not in self.ignored and len(self.ignored) < SHOWN:
                self.ignored.append(name)

    def warnings(self) -> list[dict[str, Any]]:
        """As the API tells them, in the order of the card's features."""
        told = []
        for feature in self.card.features:
            if odd := self.odd.get(feature.name):
                told.append(
                    {
                        "code": "implausible",
                        "field": feature.name,
                        "count": odd.count,
                        f"first_{self.unit}": odd.first,
                        "detail": f"{odd.count} values of {feature.name} lie outside "
                        f"{feature.low:g} to {feature.high:g}",
                    }
                )
        return told

    def errors(self) -> list[dict[str, Any]]:
        """The problems as the API tells them."""
        return [
            {
                self.unit: found.where,
                "field": found.field or "",
                "code": found.code,
                "detail": found.detail,
                "remedy": self._remedy(found),
            }
            for found in self.found
        ]

    def _remedy(self, found: Found) -> str:
        if found.code == "unknown_field":
            return "Leave it out, or send the file with ?ignore_unknown=true."
        for feature in self.card.features:
            if feature.name == found.field and found.code not in ("missing_column",):
                return remedy(feature)
        return f"The model takes, in any order: {', '.join(self.card.feature_names)}."


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
        """Which rows hold a value that is no number, infinite (as float32) or impossible."""
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = ~np.isfinite(values.astype(np.float32))
            wrong |= ((values < self.minimum) | (values > self.maximum)) & ~self._zero(values)
        return np.array(wrong.any(axis=1), dtype=np.bool_)

    def count_odd(self, values: Values, where: NDArray[np.int64], ledger: Ledger) -> None:
        """Add the implausible values of good rows to the ledger."""
        odd = ((values < self.low) | (values > self.high)) & ~self._zero(values)
        for column in np.flatnonzero(odd.any(axis=0)):
            rows = np.flatnonzero(odd[:, column])
            name = self.features[column].name
            entry = ledger.odd.setdefault(name, Odd(0, int(where[rows[0]])))
            entry.count += len(rows)

    def _zero(self, values: Values) -> NDArray[np.bool_]:
        return np.array((values == 0) & self.zero_is_missing, dtype=np.bool_)


def judge(feature: Feature, value: float) -> tuple[str, str] | None:
    """Code and words for one number that Bounds refuses; None if it is good."""
    shown = f"{value:g}"
    if value != value:  # noqa: PLR0124 - the one number that differs from itself
        return "nan", f"{feature.name} is NaN"
    if abs(value) >= FLOAT32_LIMIT:
        return "infinite", f"{feature.name} is {shown}: infinite or too large"
    if value == 0 and feature.zero_is_missing:
        return None
    if feature.minimum is not None and value < feature.minimum:
        return "impossible", f"{feature.name} is {shown}, below {feature.minimum:g}"
    if feature.maximum is not None and value > feature.maximum:
        return "impossible", f"{feature.name} is {shown}, above {feature.maximum:g}"
    return None


def remedy(feature: Feature) -> str:
    """What to write instead of a wrong value."""
    unit = f" {feature.unit}" if feature.unit else ""
    missing = ", or 0 where it was not measured" if feature.zero_is_missing else ""
    return f"Give a number, usually {feature.low:g} to {feature.high:g}{unit}{missing}."
