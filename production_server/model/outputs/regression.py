"""A value: the model answers one number, in the card's unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from production_server.figures import Sentence
from production_server.model.outputs.output import NUMBER, Output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from production_server.model.metrics import Metrics


class Regression(Output):
    __slots__ = ()

    kind = "regression"
    template = "answer_value.html"
    probabilities = False

    @property
    def labels(self) -> Sequence[str]:
        return [self.target]

    def check_classes(self) -> None:
        if self.classes:
            raise ValueError("a regression model has no classes")

    @property
    def width(self) -> int:
        return 1

    def check_answers(self, answers: NDArray[np.float32]) -> None:
        """Any finite number can be a value."""

    def measure(
        self, truth: NDArray[np.float64], answers: NDArray[np.float64], rows_train: int = 0
    ) -> Metrics:
        from production_server.model import scores
        from production_server.model.metrics import Metrics

        error = answers[:, 0] - truth
        squares = float((error**2).sum())
        spread = float(((truth - truth.mean()) ** 2).sum())
        return Metrics(
            rows_train=rows_train,
            rows_test=len(truth),
            mae=scores.short(abs(error).mean()),
            rmse=scores.short((squares / len(truth)) ** 0.5),
            r2=scores.short(1 - squares / spread) if spread else None,
            held_out=scores.held_out(truth, answers[:, 0]),
        )

    def choose(self, outputs: Sequence[float]) -> int:
        return 0

    def prediction(self, outputs: Sequence[float]) -> dict[str, Any]:
        return {"label": self.target, "value": outputs[0], "unit": self.unit}

    def arrange(
        self, outputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        import numpy as np

        return np.zeros(len(outputs), int), outputs

    @property
    def columns(self) -> list[str]:
        return ["value"]

    def csv_cells(self) -> list[list[str]]:
        return [[NUMBER]]

    def json_members(self) -> list[dict[str, Any]]:
        return [{"label": self.target, "value": NUMBER, "unit": self.unit}]

    def verdicts(self) -> list[Sentence]:
        return [(f"{self.target}: ", ("number", "value"), f"{self._unit}.")]

    def captions(self) -> list[Sentence]:
        return [(("number", "value"), self._unit)]

    def lines(self) -> list[Sentence]:
        return [(f"{self.target}: ", ("six", "value"), self._unit)]

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    @property
    def axis(self) -> str:
        return f"Predicted ({self.unit})" if self.unit else "Predicted"
