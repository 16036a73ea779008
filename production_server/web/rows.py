"""Rows of a request: checked against the card, packed for the queue.

The pydantic types that check are the ones that the OpenAPI document is made from.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, overload

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from production_server.model.card import Card, Feature
from production_server.web.problems import FieldProblem, Problem
from production_server.web.row_limits import TINY_BYTES, Bytes, RowLimits
from production_server.web.row_problems import RowProblems
from production_server.web.row_slices import Arriving, OddElement, Slice, slices

Warnings = list[dict[str, Any]]


@dataclass(slots=True)
class Rows:
    """Checked rows: float32 values in the card's order, and what is odd about each row."""

    packed: bytes
    count: int
    warnings: Sequence[Warnings]


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
        self.limits = RowLimits.of(len(card.features), max_rows)
        row = row_type(card)
        self.one: TypeAdapter[dict[str, float]] = TypeAdapter(row)
        rows: Any = Annotated[list[row], Field(min_length=1, max_length=max_rows)]  # type: ignore[valid-type]
        self.many: TypeAdapter[list[dict[str, float]]] = TypeAdapter(rows)
        self._pack = struct.Struct(f"<{len(card.features)}f").pack
        self._pack_exact = struct.Struct(f"<{len(card.features)}d").pack
        self._names = card.feature_names
        self._plausible = [(feature.low, feature.high, feature) for feature in card.features]
        self._problems = RowProblems(card, self.limits)

    def from_json(self, body: Bytes) -> tuple[Rows, bool]:
        """Rows of a JSON body, and whether it was one object rather than a list."""
        limits = self.limits
        single = not limits.is_list(body)
        if len(body) > TINY_BYTES:
            if single:
                limits.check_row(body)
            elif not limits.fits_one_slice(body):
                return _run(self.steps(Arriving(bytearray(body), True))), False
        try:
            if single:
                rows = [self.one.validate_json(body, strict=True)]
            else:
                rows = self.many.validate_json(body, strict=True)
        except ValidationError as error:
            raise self._problems.of_json(error, single=single) from None
        return self._packed(rows), single

    def steps(self, body: Arriving) -> Generator[bool, None, Rows]:
        """Check a body of any size; between two steps, other work can be done.

        A step gives whether the next one needs more of the body.
        """
        limits = self.limits
        while not body.complete and len(body.data) < limits.enough:
            limits.check_start(body.data)
            yield True
        limits.check_start(body.data)
        if body.complete and (not limits.is_list(body.data) or limits.fits_one_slice(body.data)):
            return self.from_json(body.data)[0]
        packed: list[bytes] = []
        exact: list[bytes] = []
        count = 0
        try:
            for part in slices(body, limits):
                if part is not None:
                    rows = self._checked(part)
                    packed.append(self._floats(rows, part.first))
                    exact.append(b"".join([self._pack_exact(*row.values()) for row in rows]))
                    count += len(rows)
                yield part is None
        except OddElement as odd:
            raise self._odd(odd) from None
        return Rows(b"".join(packed), count, WarningsLater(self, b"".join(exact)))

    def from_texts(self, values: Mapping[str, str]) -> Rows:
        """The one row of a query string."""
        try:
            row = self.one.validate_python(dict(values))
        except ValidationError as error:
            raise self._problems.of_json(error, single=True) from None
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
            problems = self._problems.of_json(error, single=True).errors
            return [], [], {problem.field: problem for problem in problems}
        return list(row.values()), self.warnings(row.values()), {}

    def warnings(self, values: Iterable[float]) -> Warnings:
        """Which values of a valid row are out of the plausible range."""
        return [
            _implausible(feature, value)
            for (low, high, feature), value in zip(self._plausible, values, strict=True)
            if not low <= value <= high and not (value == 0 and feature.zero_is_missing)
        ]

    def _checked(self, part: Slice) -> list[dict[str, float]]:
        try:
            return self.many.validate_json(part.text, strict=True)
        except ValidationError as error:
            raise self._problems.of_json(error, single=False, first=part.first) from None

    def _odd(self, odd: OddElement) -> Problem:
        try:
            self.many.validate_python([odd.value], strict=True)
        except ValidationError as error:
            return self._problems.of_json(error, single=False, first=odd.number)
        raise AssertionError(f"row {odd.number} is valid, but was not recognized")

    def _packed(self, rows: list[dict[str, float]]) -> Rows:
        return Rows(self._floats(rows, 0), len(rows), [self.warnings(row.values()) for row in rows])

    def _floats(self, rows: list[dict[str, float]], first: int) -> bytes:
        try:
            return b"".join([self._pack(*row.values()) for row in rows])
        except OverflowError:
            raise self._problems.of_values(rows, first) from None


class WarningsLater(Sequence[Warnings]):
    """The warnings of many rows, made when they are read: all at once, they could take 30 MB."""

    def __init__(self, schema: RowSchema, exact: bytes) -> None:
        self._schema = schema
        self._exact = exact
        self._row = struct.Struct(f"<{len(schema.card.features)}d")

    def __len__(self) -> int:
        return len(self._exact) // self._row.size

    @overload
    def __getitem__(self, at: int) -> Warnings: ...
    @overload
    def __getitem__(self, at: slice) -> list[Warnings]: ...
    def __getitem__(self, at: int | slice) -> Warnings | list[Warnings]:
        numbers = range(len(self))[at]
        if isinstance(numbers, range):
            return [self._of(number) for number in numbers]
        return self._of(numbers)

    def __iter__(self) -> Iterator[Warnings]:
        return (self._of(number) for number in range(len(self)))

    def _of(self, number: int) -> Warnings:
        return self._schema.warnings(self._row.unpack_from(self._exact, number * self._row.size))


def _implausible(feature: Feature, value: float) -> dict[str, Any]:
    return {
        "field": feature.name,
        "code": "implausible",
        "detail": f"{feature.title} of {value:g} is out of the plausible range "
        f"{feature.low:g} to {feature.high:g} {feature.unit}".rstrip()
        + ".",
    }


def _run(steps: Generator[bool, None, Rows]) -> Rows:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            rows: Rows = end.value
            return rows
