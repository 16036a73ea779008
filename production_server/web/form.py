"""The form and its answer as the templates draw them: card and values in, words and numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from production_server.model.card import Card, Feature
from production_server.web import charts
from production_server.web.problems import FieldProblem, Problem
from production_server.web.rows import Warnings
from production_server.web.showcase import choose

COMMA = " Write decimals with a point."


@dataclass(frozen=True)
class Field:
    """One input of the form as the template draws it."""

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
class Bar:
    text: str
    width: float
    chosen: bool = False


@dataclass(frozen=True)
class Answer:
    """The model's answer to the form as the template draws it."""

    sentence: str
    bars: list[Bar] = field(default_factory=list)
    positive: bool = False
    value: str = ""
    place: float = 0.0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer: one sentence, and the fields to put right."""

    text: str
    fields: list[Field] = field(default_factory=list)


def make_trouble(problem: Problem, fields: list[Field]) -> Trouble:
    bad = [field for field in fields if field.wrong]
    if not bad:
        return Trouble(f"{sentence(problem.detail)} {problem.remedy}")
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
    """The input with what was typed, or the default; with what is wrong about it, if anything."""
    default = f"{feature.default:.{feature.decimals}f}"
    value = default if submitted is None else submitted.get(feature.name, "")
    label, _, how = feature.title.partition(", ")
    wrong = ""
    if error:
        # It stands between label and hint: the name and the range would be said twice.
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
    """Glucose of "Glucose, 2 h after an oral load"; the rest is told in small print."""
    return label.partition(", ")[0]


def hint(feature: Feature) -> str:
    """Between which values it is plausible, and what a zero stands for."""
    words = f"Plausible: {charts.number(feature.low)} to {charts.number(feature.high)}"
    return words + (", 0 if not measured" if feature.zero_is_missing else "")


def keypad(feature: Feature) -> str:
    """The phone's keypad; the numeric ones have no minus sign."""
    return "decimal" if feature.minimum is not None and feature.minimum >= 0 else ""


def make_answer(card: Card, outputs: Sequence[float], odd: Warnings) -> Answer:
    """The outputs as a sentence and as what the template draws; page.js says the same."""
    warnings = [warning["detail"] for warning in odd]
    chosen = choose(card, outputs)
    if card.kind == "regression":
        text, low_high = charts.number(outputs[0]), span(card)
        return Answer(
            f"{f'{card.target}: {text} {card.unit}'.strip()}.",
            value=text,
            place=_place(outputs[0], low_high) if low_high else 0.0,
            warnings=warnings,
        )
    bars = [Bar(charts.percent(p), round(p * 100, 1), k == chosen) for k, p in enumerate(outputs)]
    if card.kind == "multiclass":
        words = f"Most likely {card.classes[chosen]}, with {bars[chosen].text}."
    else:
        words = (
            f"{card.classes[chosen]}: the probability of {card.classes[1]} is {bars[0].text}, "
            f"{'at or above' if chosen else 'below'} the threshold of {threshold(card)}."
        )
    return Answer(sentence(words), bars, positive=bool(chosen), warnings=warnings)


def threshold(card: Card) -> str:
    return f"{card.threshold * 100:.4g}%"


def span(card: Card) -> tuple[float, float] | None:
    """The lowest and highest truth among the test cases of a model that answers with a value."""
    if card.kind != "regression" or card.metrics is None or card.metrics.held_out is None:
        return None
    truth = card.metrics.held_out.truth
    return (min(truth), max(truth)) if truth and min(truth) < max(truth) else None


def _place(value: float, low_high: tuple[float, float]) -> float:
    low, high = low_high
    return round(min(1.0, max(0.0, (value - low) / (high - low))) * 100, 1)
