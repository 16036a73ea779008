"""What is wrong with a row, for the client: codes, details and remedies of a bounded length."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from production_server.model.card import Card, Feature
from production_server.web.problems import FieldProblem, Problem
from production_server.web.row_limits import RowLimits, malformed, no_rows

MOST_PROBLEMS = 20
SHOWN_NAME = 80
SHOWN_VALUE = 40
SHOWN_FEATURES = 50
_PLACE = re.compile(r" at line \d+ column \d+$")


class RowProblems:
    """Describes the errors that pydantic finds in rows of one card."""

    def __init__(self, card: Card, limits: RowLimits) -> None:
        self._limits = limits
        self._names = card.feature_names
        self._features: dict[str, Feature] = {feature.name: feature for feature in card.features}
        shown = ", ".join(self._names[:SHOWN_FEATURES])
        hidden = len(self._names) - SHOWN_FEATURES
        self._known = f"{shown} and {hidden} more" if hidden > 0 else shown

    def of_json(self, error: ValidationError, *, single: bool, first: int | None = None) -> Problem:
        """The problem of a body, or of a slice of a list that starts with row `first`."""
        details = error.errors(include_url=False, include_context=False)
        kind = details[0]["type"]
        if kind == "json_invalid":
            message = details[0]["msg"]
            if first is None:
                return malformed(message)
            return malformed(f"{_PLACE.sub('', message)} in the rows from {first} on")
        if kind == "too_long":
            return self._limits.too_many()
        if kind == "too_short":
            return no_rows()
        errors = [self._field(detail, single, first or 0) for detail in details[:MOST_PROBLEMS]]
        return refused(errors, len(details))

    def of_values(self, rows: list[dict[str, float]], first: int) -> Problem:
        """Finite numbers that the model's 32-bit floats cannot hold."""
        errors = [
            FieldProblem(
                row=first + index,
                field=name,
                code="infinite",
                detail=f"{name} is too large a number.",
                remedy=self._remedy(name),
            )
            for index, row in enumerate(rows)
            for name, value in row.items()
            if abs(value) > 3.4e38
        ]
        return refused(errors[:MOST_PROBLEMS], len(errors))

    def _field(self, detail: Mapping[str, Any], single: bool, first: int) -> FieldProblem:
        where = list(detail["loc"])
        row = 0 if single else int(where.pop(0)) if where else 0
        if not where:
            return FieldProblem(
                row=first + row,
                field="",
                code="not_a_row",
                detail="A row must be an object of the model's features.",
                remedy=f"Its features: {self._known}.",
            )
        field = str(where[0])[:SHOWN_NAME]
        code, words = classify(detail["type"], detail["input"])
        remedy = self._unknown(field) if code == "unknown_field" else self._remedy(field)
        return FieldProblem(
            row=first + row, field=field, code=code, detail=f"{field} {words}.", remedy=remedy
        )

    def _remedy(self, field: str) -> str:
        feature = self._features[field]
        unit = f" {feature.unit}" if feature.unit else ""
        missing = ", or 0 where it was not measured" if feature.zero_is_missing else ""
        return f"Give a number, usually {feature.low:g} to {feature.high:g}{unit}{missing}."

    def _unknown(self, field: str) -> str:
        near = difflib.get_close_matches(field, self._names, n=1)
        guess = f"Did you mean {near[0]}? " if near else ""
        return f"{guess}The features: {self._known}."


def classify(kind: str, value: object) -> tuple[str, str]:
    """A pydantic error type and its input as our code and its words."""
    if kind == "extra_forbidden":
        return "unknown_field", "is not a feature of this model"
    if kind == "missing" or value is None or value == "":
        return "missing_value", "has no value"
    if kind == "finite_number":
        number = float(value) if isinstance(value, (int, float, str)) else math.inf
        if math.isnan(number):
            return "nan", "is not a number (NaN)"
        return "infinite", "is infinite"
    if kind in ("greater_than_equal", "less_than_equal"):
        return "impossible", f"cannot be {shown(value, str)}"
    return "not_a_number", f"is not a number: {shown(value, repr)}"


def shown(value: object, write: Any) -> str:
    """A value, cut to a length that fits in a sentence."""
    try:
        text: str = write(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "so large a number"
    return text[:SHOWN_VALUE]


def refused(errors: list[FieldProblem], count: int) -> Problem:
    more = f" and {count - 1} more" if count > 1 else ""
    return Problem(
        422,
        "invalid_rows",
        f"{errors[0].detail.rstrip('.')}{more}.",
        errors[0].remedy,
        errors=errors,
        more={"error_count": count},
    )
