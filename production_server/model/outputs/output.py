"""What a kind of output defines: its numbers, their words, and how they are drawn.

The classes of the kinds are beside this module; `__init__.py` lists them.

NumPy is imported where it is used: reading a card must not load it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from production_server.errors import ModelError
from production_server.figures import Sentence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from production_server.model.metrics import Metrics

NUMBER = "\0"  # stands where a result's line has a number
_SLACK = 1e-4


@dataclass(frozen=True, slots=True)
class Output(ABC):
    """One kind of output, with what the card says about it.

    An answer belongs to one of the `labels`: a class, or the target of a model without classes.
    Methods that return a list return an entry for each label, in order.
    """

    target: str = ""
    classes: Sequence[str] = ()
    threshold: float = 0.5
    unit: str = ""

    kind: ClassVar[str]
    template: ClassVar[str]  # draws an answer on the page
    probabilities: ClassVar[bool] = True  # the model answers probabilities, not values

    @property
    def labels(self) -> Sequence[str]:
        return self.classes

    # --- the model --------------------------------------------------------------------------

    @abstractmethod
    def check_classes(self) -> None:
        """Raise ValueError if this kind cannot have the card's classes."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers the model answers for a row."""

    @abstractmethod
    def check_answers(self, answers: NDArray[np.float32]) -> None:
        """Raise ModelError if answers to plausible rows cannot be of this kind."""

    @abstractmethod
    def measure(
        self, truth: NDArray[np.float64], answers: NDArray[np.float64], rows_train: int = 0
    ) -> Metrics:
        """Every score of this kind, for answers [n, width] against truth [n]."""

    # --- answers ----------------------------------------------------------------------------

    @abstractmethod
    def choose(self, outputs: Sequence[float]) -> int:
        """The index of the label that one row's outputs stand for."""

    @abstractmethod
    def prediction(self, outputs: Sequence[float]) -> dict[str, Any]:
        """One row's outputs as the API answers them."""

    # --- results of jobs: a million rows, so each line is one format operation ----------------

    @abstractmethod
    def arrange(
        self, outputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The index of each row's label, and the numbers that its line holds, in order."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """The names of the columns in a CSV file."""

    @abstractmethod
    def csv_cells(self) -> list[list[str]]:
        """The cells of a CSV line: texts, and NUMBER where a number goes."""

    @abstractmethod
    def json_members(self) -> list[dict[str, Any]]:
        """The members of a JSON object: values, and NUMBER where a number goes."""

    # --- words ------------------------------------------------------------------------------

    @abstractmethod
    def verdicts(self) -> list[Sentence]:
        """The answer as a sentence on the page."""

    @abstractmethod
    def captions(self) -> list[Sentence]:
        """The answer in a table cell."""

    @abstractmethod
    def lines(self) -> list[Sentence]:
        """The answer on the terminal."""

    # --- the chart of the sample cohort -------------------------------------------------------

    @property
    @abstractmethod
    def axis(self) -> str:
        """What the chart's axis measures."""

    def position(self, outputs: Sequence[float], lane: int) -> float:
        """Where a case lies on the axis, in the lane of a label."""
        return outputs[0]

    @property
    def mark(self) -> tuple[float, str] | None:
        """A line across the chart, and what it means."""
        return None


def check_probabilities(kind: str, answers: NDArray[np.float32]) -> None:
    if answers.min() < -_SLACK or answers.max() > 1 + _SLACK:
        raise ModelError(
            f"the outputs of a {kind} model must be probabilities, but they range from "
            f"{answers.min():g} to {answers.max():g}",
            "Add a sigmoid (binary) or softmax (multiclass) as the last activation.",
        )
