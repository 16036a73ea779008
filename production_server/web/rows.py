"""Rows of a request: checked against the card, packed for the queue.

The pydantic types that check are the ones that the OpenAPI document is made from.
"""

from __future__ import annotations

import difflib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from production_server.model.card import Card, Feature
from production_server.web.problems import FieldProblem, Problem

MOST_PROBLEMS = 20
Warnings = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Checked rows: float32 values in the card's order, and what is odd about each row."""

    packed: bytes
    count: int
    warnings: list[Warnings]


def row_type(card: Card) -> Any:
    """A TypedDict of the card's features, with their hard bounds."""
    fields = {feature.name: _field_type(feature) for feature in card.features}
    row: Any = TypedDict("Row", fields)  # type: ignore[misc]
    return with_config(ConfigDict(extra="forbid", title="Row"))(row)


def _field_type(feature: Feature) -> Any:
    unit = f" in {feature.unit}" if feature.unit else ""
    missing = "; 0 where it was not measured" if feature.zero_is_missing else ""
    field = Field(
        ge=feature.minimum,
        le=feature.maximum,
        allow_inf_nan=False,
        title=feature.title,
        description=f"{feature.title}{unit}, plausible {feature.low:g} to {feature.high:g}"
        f"{missing}",
        examples=[feature.default],
    )
    return Annotated[float, field]


class RowSchema:
    """Checks the rows of requests for one card."""

    def __init__(self, card: Card, max_rows: int) -> None:
        self.card = card
        self.max_rows = max_rows
        row = row_type(card)
        self.one: TypeAdapter[dict[str, float]] = TypeAdapter(row)
        rows: Any = Annotated[list[row], Field(min_length=1, max_length=max_rows)]  # type: ignore[valid-type]
        self.many: TypeAdapter[list[dict[str, float]]] = TypeAdapter(rows)
        self._pack = struct.Struct(f"<{len(card.features)}f").pack
        self._names = card.feature_names

    def from_json(self, body: bytes) -> tuple[Rows, bool]:
        """Rows of a JSON body, and whether it was one object rather than a list."""
        single = body.lstrip()[:1] != b"["
        try:
            if single:
                rows = [self.one.validate_json(body, strict=True)]
            else:
                rows = self.many.validate_json(body, strict=True)
        except ValidationError as error:
            raise self._problem(error, single) from None
        return self._packed(rows), single

    def from_texts(self, values: Mapping[str, str]) -> Rows:
        """The one row of a query string."""
        try:
            row = self.one.validate_python(dict(values))
        except ValidationError as error:
            raise self._problem(error, True) from None
        return self._packed([row])

    def from_values(self, rows: Sequence[Sequence[float]]) -> Rows:
        """Rows that are numbers already, in the card's order."""
        return self._packed([dict(zip(self._names, row, strict=True)) for row in rows])

    def check_form(
        self, values: Mapping[str, str]
    ) -> tuple[list[float], Warnings, dict[str, FieldProblem]]:
        """A form's row: (values, warnings, problems by field); values are empty with problems."""
        known = {name: values.get(name, "") for name in self._names}
        try:
            row = self.one.validate_python(known)
        except ValidationError as error:
            problems = self._problem(error, True).errors
            return [], [], {problem.field: problem for problem in problems}
        return list(row.values()), self.warnings(row), {}

    def warnings(self, row: Mapping[str, float]) -> Warnings:
        """Which values of a valid row are out of the plausible range."""
        found: Warnings = []
        for feature, value in zip(self.card.features, row.values(), strict=True):
            if feature.low <= value <= feature.high or (value == 0 and feature.zero_is_missing):
                continue
            found.append(
                {
                    "field": feature.name,
                    "code": "implausible",
                    "detail": f"{feature.title} of {value:g} is out of the plausible range "
                    f"{feature.low:g} to {feature.high:g} {feature.unit}".rstrip()
                    + ".",
                }
            )
        return found

    def _packed(self, rows: list[dict[str, float]]) -> Rows:
        try:
            packed = b"".join([self._pack(*row.values()) for row in rows])
        except OverflowError:
            raise self._too_large(rows) from None
        return Rows(packed, len(rows), [self.warnings(row) for row in rows])

    def _too_large(self, rows: list[dict[str, float]]) -> Problem:
        """A finite number that the model's 32-bit floats cannot hold."""
        errors = [
            FieldProblem(
                row=index,
                field=name,
                code="infinite",
                detail=f"{name} is too large a number.",
                remedy=self._remedy(name),
            )
            for index, row in enumerate(rows)
            for name, value in row.items()
            if abs(value) > 3.4e38
        ]
        return _refused(errors[:MOST_PROBLEMS], len(errors))

    def _problem(self, error: ValidationError, single: bool) -> Problem:
        details = error.errors(include_url=False, include_context=False)
        first = details[0]
        if first["type"] == "json_invalid":
            return Problem(
                400,
                "malformed_json",
                f"The body is not JSON: {first['msg']}.",
                "Send one object or a list of objects.",
            )
        if first["type"] == "too_long":
            return Problem(
                413,
                "too_many_rows",
                f"At most {self.max_rows} rows can be answered at once.",
                "Send large tables to POST /jobs.",
            )
        if first["type"] == "too_short":
            return Problem(422, "no_rows", "The list holds no row.", "Send at least one.")
        errors = [self._field_problem(detail, single) for detail in details[:MOST_PROBLEMS]]
        return _refused(errors, len(details))

    def _field_problem(self, detail: Any, single: bool) -> FieldProblem:
        where = list(detail["loc"])
        row = 0 if single else int(where.pop(0)) if where else 0
        field = str(where[0]) if where else ""
        value = detail["input"]
        code, words = classify(detail["type"], value)
        if not field:
            return FieldProblem(
                row=row,
                field="",
                code="not_a_row",
                detail="A row must be an object of the model's features.",
                remedy=f"Its features: {', '.join(self._names)}.",
            )
        remedy = self._unknown(field) if code == "unknown_field" else self._remedy(field)
        return FieldProblem(
            row=row, field=field, code=code, detail=f"{field} {words}.", remedy=remedy
        )

    def _remedy(self, field: str) -> str:
        feature = next(feature for feature in self.card.features if feature.name == field)
        unit = f" {feature.unit}" if feature.unit else ""
        missing = ", or 0 where it was not measured" if feature.zero_is_missing else ""
        return f"Give a number, usually {feature.low:g} to {feature.high:g}{unit}{missing}."

    def _unknown(self, field: str) -> str:
        near = difflib.get_close_matches(field, self._names, n=1)
        guess = f"Did you mean {near[0]}? " if near else ""
        return f"{guess}The features: {', '.join(self._names)}."


def classify(kind: str, value: object) -> tuple[str, str]:
    """A pydantic error type and its input as our code and its words."""
    shown = repr(value)[:40]
    if kind == "missing" or value is None or value == "":
        return "missing_value", "has no value"
    if kind == "extra_forbidden":
        return "unknown_field", "is not a feature of this model"
    if kind == "finite_number":
        number = float(value) if isinstance(value, (int, float, str)) else math.inf
        if math.isnan(number):
            return "nan", "is not a number (NaN)"
        return "infinite", "is infinite"
    if kind in ("greater_than_equal", "less_than_equal"):
        return "impossible", f"cannot be {str(value)[:40]}"
    return "not_a_number", f"is not a number: {shown}"


def _refused(errors: list[FieldProblem], count: int) -> Problem:
    more = f" and {count - 1} more" if count > 1 else ""
    return Problem(
        422,
        "invalid_rows",
        f"{errors[0].detail.rstrip('.')}{more}.",
        errors[0].remedy,
        errors=errors,
        more={"error_count": count},
    )
