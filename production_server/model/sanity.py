"""A few rows with their outputs, in the card of a version: whoever gets it can check that the model
still answers the same, also on another processor and with other libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from production_server.model.metrics import Sanity

if TYPE_CHECKING:
    from production_server.model.card import Card
    from production_server.model.predictor import Predictor

ROWS = 5
# Processors and compilers sum float32 in another order, which changes the fifth digit or so. A
# wrong layer or weight changes the first.
RELATIVE, OF_SCALE = 1e-3, 1e-4


def sanity_of(predictor: Predictor, rows: NDArray[np.float32]) -> Sanity:
    """The first of these rows with the predictor's outputs."""
    chosen = rows[:ROWS]
    return Sanity(
        rows=[[float(value) for value in row] for row in chosen],
        outputs=[[float(value) for value in row] for row in predictor.predict(chosen)],
    )


def difference(card: Card, predictor: Predictor) -> str | None:
    """How the predictor's outputs differ from those in the card; None if they do not.

    The card must have some.
    """
    assert card.sanity is not None
    expected = np.array(card.sanity.outputs, np.float64)
    if any(len(row) != len(card.features) for row in card.sanity.rows):
        return f"a row does not have {len(card.features)} values"
    if expected.ndim != 2 or expected.shape[1] != card.width:
        return f"an output does not have {card.width} values"
    found = predictor.predict(np.array(card.sanity.rows, np.float32)).astype(np.float64)
    scale = max(1.0 if card.output.probabilities else 0.0, float(np.abs(expected).max()))
    off = np.abs(found - expected)
    wrong = ~(off <= RELATIVE * np.abs(expected) + OF_SCALE * scale)
    if not wrong.any():
        return None
    row, column = (int(place) for place in np.argwhere(wrong)[0])
    return (
        f"for row {row + 1} it answers {found[row, column]:.6g} "
        f"instead of {expected[row, column]:.6g}"
    )
