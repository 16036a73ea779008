"""The card of a model version: its inputs, its output and its quality.

The page, the API's validation, the sample cohort and the registry all follow the card. It is plain
data (card.json): reading it needs neither Keras nor the model.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator, model_validator

from production_server.errors import CardError
from production_server.model.metrics import Metrics, Part, Sanity
from production_server.model.outputs import KINDS, Kind, Output

NAME_PATTERN = r"^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$"
VERSION_PATTERN = r"^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*-[1-9][0-9]*$"
CARD_FILE = "card.json"
MODEL_FILE = "model.keras"


class Feature(Part):
    """One input of the model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    label: Annotated[str, Field(max_length=100)] = ""
    unit: Annotated[str, Field(max_length=40)] = ""
    low: float = Field(description="a lower value is implausible: the answer carries a warning")
    high: float = Field(description="a higher value is implausible: the answer carries a warning")
    default: float
    minimum: float | None = Field(
        None, description="a lower value is impossible: the row is refused"
    )
    maximum: float | None = Field(
        None, description="a higher value is impossible: the row is refused"
    )
    zero_is_missing: bool = False
    decimals: Annotated[int, Field(ge=0, le=9)] = Field(
        0, description="decimal places of the measurement"
    )
    aliases: list[str] = Field([], description="other column names for it in a CSV file")

    @model_validator(mode="after")
    def _ordered(self) -> Feature:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be less than high ({self.high:g})")
        bottom = self.low if self.minimum is None else self.minimum
        top = self.high if self.maximum is None else self.maximum
        if not bottom <= self.low or not self.high <= top:
            raise ValueError("minimum <= low < high <= maximum must hold")
        missing = self.zero_is_missing and self.default == 0
        if not bottom <= self.default <= top and not missing:
            raise ValueError(f"default ({self.default:g}) lies outside minimum..maximum")
        return self

    @property
    def title(self) -> str:
        return self.label or self.name.replace("_", " ").capitalize()


class CohortGroup(Part):
    """Summary statistics of the training rows of one class, a list entry for each feature."""

    label: str | None
    share: float
    count: int
    missing: list[float] = Field(description="share of rows in which the value is missing")
    means: list[float]
    sds: list[float]
    quantiles: list[list[float]] = Field(description="of the present values, at Cohort.levels")
    correlations: list[list[float]] = Field(description="of normal scores of the present values")


class Cohort(Part):
    """The source of synthetic rows: summary statistics by class, without any row of the data."""

    levels: list[float] = Field(description="probabilities of the quantiles")
    groups: list[CohortGroup]


class Card(Part):
    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
    version: Annotated[str, Field(pattern=VERSION_PATTERN, max_length=80)]
    kind: Kind
    target: str = Field(description="what the model predicts")
    outcome: str = Field("outcome", description="column of the true values in a table")
    classes: list[str] = Field([], description="binary: negative, then positive; regression: none")
    unit: str = Field("", description="of a regression's values")
    threshold: float = Field(0.5, description="binary: positive from this probability on")
    features: Annotated[list[Feature], Field(min_length=1)]
    metrics: Metrics | None = None
    cohort: Cohort | None = None
    data_sha256: str = ""
    model_sha256: str = ""
    libs: dict[str, str] = Field({}, description="versions of the libraries that made the model")
    backend: str = ""
    created: str = ""
    notes: str = ""
    sanity: Sanity | None = Field(
        None, description="rows with their outputs, to check that the model answers the same"
    )

    @field_validator("features")
    @classmethod
    def _unique(cls, features: list[Feature]) -> list[Feature]:
        names = [feature.name for feature in features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"feature names occur twice: {', '.join(twice)}")
        return features

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        self.output.check_classes()
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class labels must differ from each other")
        if version_name(self.version) != self.name:
            raise ValueError(f"version {self.version!r} does not belong to model {self.name!r}")
        return self

    @property
    def output(self) -> Output:
        """What the model's numbers mean."""
        return KINDS[self.kind](self.target, self.classes, self.threshold, self.unit)

    @property
    def width(self) -> int:
        """How many numbers the model answers for a row."""
        return self.output.width

    @property
    def feature_names(self) -> list[str]:
        return [feature.name for feature in self.features]


def version_name(version: str) -> str:
    """diabetes-12 -> diabetes"""
    return version.rpartition("-")[0]


def version_number(version: str) -> int:
    """diabetes-12 -> 12"""
    return int(version.rpartition("-")[2])


def is_version(text: str) -> bool:
    return re.fullmatch(VERSION_PATTERN, text) is not None and len(text) <= 80


def explain(error: ValidationError) -> str:
    """The first few problems of a pydantic error, in one line."""
    lines = []
    for problem in error.errors(include_url=False)[:5]:
        where = ".".join(str(part) for part in problem["loc"])
        words = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {words}" if where else words)
    more = error.error_count() - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def read_card(path: Path) -> Card:
    """The card in a file. Raises CardError if it cannot be read or is not valid."""
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CardError(
            f"cannot read the card {path}: {error.strerror}",
            "A version folder holds model.keras and card.json; import the model again.",
        ) from error
    except ValidationError as error:
        raise CardError(
            f"the card {path} is not valid: {explain(error)}",
            "Correct card.json, or import or train the model again.",
        ) from error


def card_text(card: Card) -> str:
    """card.json: one line per key, with long lists of numbers on one line."""
    # Releases that do not know the key can then still read the card.
    text = card.model_dump_json(indent=1, exclude=None if card.sanity else {"sanity"})
    return re.sub(r"\[[-+\d.eE,\s]+\]", lambda found: re.sub(r"\s+", "", found[0]), text) + "\n"
