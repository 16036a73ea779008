"""Yes or no: the model answers the probability of the second class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from production_server.figures import Sentence
from production_server.model.outputs.output import NUMBER, Output, check_probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from production_server.model.metrics import Metrics


class Binary(Output):
    __slots__ = ()

    kind = "binary"
    template = "answer_gauge.html"

    def check_classes(self) -> None:
        if len(self.classes) != 2:
            raise ValueError(f"a binary model has 2 classes, not {len(self.classes)}")

    @property
    def width(self) -> int:
        return 1

    def check_answers(self, answers: NDArray[np.float32]) -> None:
        check_probabilities(self.kind, answers)

    def measure(
        self, truth: NDArray[np.float64], answers: NDArray[np.float64], rows_train: int = 0
    ) -> Metrics:
        from production_server.model import scores
        from production_server.model.metrics import Metrics

        chance = answers[:, 0]
        both = 0 < truth.sum() < len(truth)
        return Metrics(
            rows_train=rows_train,
            rows_test=len(truth),
            accuracy=scores.short(((chance >= self.threshold) == truth).mean()),
            roc_auc=scores.short(scores.roc_auc(truth, chance)) if both else None,
            brier=scores.short(((chance - truth) ** 2).mean()),
            log_loss=scores.log_loss(truth, chance),
            confusion=scores.confusion(truth, chance >= self.threshold, 2),
            calibration=scores.calibration(truth, chance),
            roc=scores.roc_points(truth, chance) if both else [],
            held_out=scores.held_out(truth, chance),
        )

    def choose(self, outputs: Sequence[float]) -> int:
        return int(outputs[0] >= self.threshold)

    def prediction(self, outputs: Sequence[float]) -> dict[str, Any]:
        positive = outputs[0] >= self.threshold
        return {
            "label": self.classes[positive],
            "probability": outputs[0],
            "positive": positive,
        }

    def arrange(
        self, outputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return (outputs[:, 0] >= self.threshold).astype(int), outputs

    @property
    def columns(self) -> list[str]:
        return ["label", "probability", "positive"]

    def csv_cells(self) -> list[list[str]]:
        return [
            [name, NUMBER, flag] for name, flag in zip(self.classes, ("false", "true"), strict=True)
        ]

    def json_members(self) -> list[dict[str, Any]]:
        return [
            {"label": name, "probability": NUMBER, "positive": positive}
            for name, positive in zip(self.classes, (False, True), strict=True)
        ]

    def verdicts(self) -> list[Sentence]:
        limit = f"the threshold of {self.threshold * 100:.4g}%."
        return [
            (
                f"{name}: the probability of {self.classes[1]} is ",
                ("percent", "probability"),
                f", {side} {limit}",
            )
            for name, side in zip(self.classes, ("below", "at or above"), strict=True)
        ]

    def captions(self) -> list[Sentence]:
        return [(("percent", "probability"),)] * 2

    def lines(self) -> list[Sentence]:
        return [
            (f"{name} (probability of {self.classes[1]}: ", ("four", "probability"), ")")
            for name in self.classes
        ]

    @property
    def axis(self) -> str:
        return f"Predicted probability of {self.classes[1]}"

    @property
    def mark(self) -> tuple[float, str] | None:
        return self.threshold, "yes from here"
