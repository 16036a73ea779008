"""Figures on the page: written here for the form's answer, and by page.js for the next one.

An element names what it shows in its attributes, so both write the same without knowing the kind
of output: data-fill holds [attribute, figure] pairs ("" is the text), data-mark the class that
the element has while a value of the prediction equals another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from production_server.figures import Figure, format_figure, value_at


class Filling:
    """Fills elements from a prediction, or leaves them empty if there is none."""

    def __init__(self, prediction: Mapping[str, Any] | None) -> None:
        self._prediction = prediction

    def text(self, *figure: Any) -> Markup:
        """The attribute and the content of an element that shows one figure."""
        attribute = _attribute("data-fill", [["", figure]])
        return Markup(f"{attribute}>{escape(self._shown(figure))}")

    def attributes(self, **figures: Figure) -> Markup:
        """Attributes that show figures; aria_valuenow stands for aria-valuenow."""
        named = {name.replace("_", "-"): figure for name, figure in figures.items()}
        shown = [f'{name}="{escape(self._shown(figure, 0))}"' for name, figure in named.items()]
        return Markup(" ".join([*shown, _attribute("data-fill", list(named.items()))]))

    def marked(self, classes: str, mark: str, path: str, value: Any) -> Markup:
        """A class attribute with `mark` in it while the prediction has `value` at `path`."""
        prediction = self._prediction
        on = prediction is not None and value_at(prediction, path) == value
        names = escape(f"{classes} {mark}".strip() if on else classes)
        return Markup(f'class="{names}" {_attribute("data-mark", [mark, path, value])}')

    def _shown(self, figure: Figure, empty: str | float = "") -> str | float:
        return empty if self._prediction is None else format_figure(figure, self._prediction)


def _attribute(name: str, value: Any) -> Markup:
    return Markup(f'{name}="{escape(json.dumps(value, ensure_ascii=False))}"')
