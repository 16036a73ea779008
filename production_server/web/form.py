"""The form and its answer, ready for the templates: card and values in, words and numbers out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from production_server.figures import number, write
from production_server.model.card import Card, Feature
from production_server.model.outputs import Output
from production_server.web.problems import FieldProblem, Problem
from production_server.web.rows import Warnings

COMMA = " Write decimals with a point."


@dataclass(frozen=True)
class Field:
    """One input of the form."""

    name: str
    label: str
    how: str
    unit: str
    value: str
    hint: str
    keypad: str
    wrong: str = ""

    @property
    def id(self) -> str:
        return f"f-{self.name}"


@dataclass(frozen=True)
class Answer:
    """The answer to the form."""

    sentence: str
    prediction: dict[str, Any]
    warnings: list[str]


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer: one sentence, and the fields to correct."""

    text: str
    fields: list[Field] = field(default_factory=list)
    request_id: str | None = None
    """To find the request in the logs, unless a correction is all that it takes."""


def make_trouble(problem: Problem, fields: list[Field], request_id: str | None = None) -> Trouble:
    bad = [field for field in fields if field.wrong]
    if not bad:
        return Trouble(f"{sentence(problem.detail)} {problem.remedy}", [], request_id)
    if len(bad) == 1:
        return Trouble("One value needs your attention:", bad)
    return Trouble(f"{len(bad)} values need your attention:", bad)


def make_fields(
    card: Card, submitted: Mapping[str, str] | None, errors: Sequence[FieldProblem]
) -> list[Field]:
    wrong = {error.field: error for error in errors}
    return [make_field(feature, submitted, wrong.get(feature.name)) for feature in card.features]


def make_field(
    feature: Feature, submitted: Mapping[str, str] | None, error: FieldProblem | None
) -> Field:
    """The input with the submitted value or the default, and its problem if it has one."""
    default = f"{feature.default:.{feature.decimals}f}"
    value = default if submitted is None else submitted.get(feature.name, "")
    label, _, how = feature.title.partition(", ")
    wrong = ""
    if error:
        # The label and the hint already show the name and the range.
        wrong = sentence(error.detail.removeprefix(error.field).strip())
        wrong += COMMA if "," in value else ""
    return Field(
        name=feature.name,
        label=label,
        how=how,
        unit=feature.unit,
        value=value,
        hint=hint(feature),
        keypad=keypad(feature),
        wrong=wrong,
    )


def sentence(words: str) -> str:
    words = words[:1].upper() + words[1:]
    return words if words.endswith(".") else f"{words}."


def short(label: str) -> str:
    """ "Glucose" of "Glucose, 2 h after an oral load"; the rest is shown in small print."""
    return label.partition(", ")[0]


def hint(feature: Feature) -> str:
    """The plausible range, and what a zero means."""
    words = f"Plausible: {number(feature.low)} to {number(feature.high)}"
    return words + (", 0 if not measured" if feature.zero_is_missing else "")


def keypad(feature: Feature) -> str:
    """The keypad of a phone. The numeric ones have no minus sign."""
    return "decimal" if feature.minimum is not None and feature.minimum >= 0 else ""


def make_answer(card: Card, outputs: Sequence[float], odd: Warnings) -> Answer:
    """The answer in words and numbers. page.js writes the same sentence."""
    output = card.output
    prediction = output.prediction(outputs)
    words = write(output.verdicts()[output.choose(outputs)], prediction)
    return Answer(sentence(words), prediction, [warning["detail"] for warning in odd])


def verdicts(output: Output) -> str:
    """The sentence for each label, for page.js."""
    return json.dumps(dict(zip(output.labels, output.verdicts(), strict=True)))


def span(card: Card) -> tuple[float, float] | None:
    """The lowest and highest true value among the test cases of a model that predicts values."""
    if card.output.probabilities or card.metrics is None or card.metrics.held_out is None:
        return None
    truth = card.metrics.held_out.truth
    return (min(truth), max(truth)) if truth and min(truth) < max(truth) else None
