"""How numbers are written for people, and sentences with numbers in them.

A sentence is data: page.js writes the same one for the next prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def percent(probability: float) -> str:
    """A probability for people; never a false 0% or 100%."""
    if probability > 0.995:
        return ">99%"
    if probability < 0.005:
        return "<1%"
    return f"{probability * 100:.0f}%"


def number(value: float) -> str:
    """A number for people: four significant digits at most, no exponent for ordinary sizes."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if 1e-4 <= abs(value) < 1e7:
        digits = max(0, 3 - math.floor(math.log10(abs(value))))
        text = f"{value:.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3g}"


def share(value: float, low: float, high: float) -> float:
    """Where a value lies between two ends, in percent."""
    return round(min(1.0, max(0.0, (value - low) / (high - low))) * 100, 1)


# page.js has the formats of the page under the same names; the last two are for the terminal.
FORMATS: dict[str, Callable[..., str | float]] = {
    "percent": percent,
    "number": number,
    "whole": lambda probability: round(probability * 100),
    "hundred": lambda probability: round(probability * 100, 1),
    "arc": lambda probability: f"{round(probability * 100, 1)} 100",
    "share": share,
    "four": lambda value: f"{value:.4f}",
    "six": lambda value: f"{value:.6g}",
}

# A format, the path of a value in the prediction, and what else the format takes.
Figure = tuple[Any, ...]
Sentence = tuple[str | Figure, ...]


def value_at(prediction: Mapping[str, Any], path: str | Sequence[str]) -> Any:
    """The value that a figure is about: a key, or keys from the outside in."""
    found: Any = prediction
    for key in [path] if isinstance(path, str) else path:
        found = found[key]
    return found


def format_figure(figure: Figure, prediction: Mapping[str, Any]) -> str | float:
    name, path, *more = figure
    return FORMATS[name](value_at(prediction, path), *more)


def write(sentence: Sentence, prediction: Mapping[str, Any]) -> str:
    """The sentence with the prediction's numbers in place."""
    return "".join(
        part if isinstance(part, str) else str(format_figure(part, prediction)) for part in sentence
    )
