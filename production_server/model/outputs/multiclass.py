"""One of several classes: the model answers a probability for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from production_server.errors import ModelError
from production_server.figures import Sentence
from production_server.model.outputs.output import NUMBER, Output, check_probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from production_server.model.metrics import Metrics


class Multiclass(Output):
    __slots__ = ()

    kind = "multiclass"
    template = "answer_bars.html"

    def check_classes(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"a multiclass model has 2 or more classes, not {len(self.classes)}")

    @property
    def width(self) -> int:
        return len(self.classes)

    def check_answers(self, answers: NDArray[np.float32]) -> None:
        check_probabilities(self.kind, answers)
        if abs(answers.sum(axis=1) - 1).max() > 1e-3:
            raise ModelError(
                "the probabilities of the classes do not sum to 1",
                "Use softmax as the last activation.",
            )

    def measure(
        self, truth: NDArray[np.float64], answers: NDArray[np.float64], rows_train: int = 0
    ) -> Metrics:
        from production_server.model import scores
        from production_server.model.metrics import Metrics

        one_hot = scores.one_hot(truth, self.width)
        answer = answers.argmax(axis=1)
        each = [
            scores.roc_auc(one_hot[:, index], answers[:, index])
            for index in range(self.width)
            if one_hot[:, index].any()
        ]
        return Metrics(
            rows_train=rows_train,
            rows_test=len(truth),
            accuracy=scores.short((answer == truth).mean()),
            # One class against the rest, averaged over the classes that occur.
            roc_auc=scores.short(sum(each) / len(each)) if len(each) > 1 else None,
            brier=scores.short(((answers - one_hot) ** 2).sum(axis=1).mean()),
            log_loss=scores.log_loss_of_classes(truth, answers),
            confusion=scores.confusion(truth, answer, self.width),
            held_out=scores.held_out(truth, answers),
        )

    def choose(self, outputs: Sequence[float]) -> int:
        return max(range(len(outputs)), key=outputs.__getitem__)

    def prediction(self, outputs: Sequence[float]) -> dict[str, Any]:
        best = self.choose(outputs)
        return {
            "label": self.classes[best],
            "probability": outputs[best],
            "probabilities": dict(zip(self.classes, outputs, strict=True)),
        }

    def arrange(
        self, outputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        import numpy as np

        return outputs.argmax(axis=1), np.column_stack((outputs.max(axis=1), outputs))

    @property
    def columns(self) -> list[str]:
        return ["label", "probability", *(f"probability_{name}" for name in self.classes)]

    def csv_cells(self) -> list[list[str]]:
        return [[name, NUMBER, *[NUMBER] * self.width] for name in self.classes]

    def json_members(self) -> list[dict[str, Any]]:
        each = dict.fromkeys(self.classes, NUMBER)
        return [
            {"label": name, "probability": NUMBER, "probabilities": each} for name in self.classes
        ]

    def verdicts(self) -> list[Sentence]:
        return [
            (f"Most likely {name}, with ", ("percent", "probability"), ".") for name in self.classes
        ]

    def captions(self) -> list[Sentence]:
        return [(f"{name} ", ("percent", "probability")) for name in self.classes]

    def lines(self) -> list[Sentence]:
        chances: list[Any] = []
        for name in self.classes:
            chances += [f", {name} " if chances else f"{name} ", ("four", ("probabilities", name))]
        return [(f"{name} (", *chances, ")") for name in self.classes]

    @property
    def axis(self) -> str:
        return "Predicted probability of that class"

    def position(self, outputs: Sequence[float], lane: int) -> float:
        return outputs[lane]
