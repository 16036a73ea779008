"""A kind of output that Stackserve does not ship: one class is enough for it to be served."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from production_server.errors import ModelError
from production_server.figures import Sentence, write
from production_server.jobs.acceptance import answer_of
from production_server.jobs.records import Job, Outcome, Receipt
from production_server.jobs.results import as_csv, as_json
from production_server.jobs.store import Store
from production_server.model.card import Card
from production_server.model.importing import refuse_misfit
from production_server.model.metrics import Metrics
from production_server.model.outputs import KINDS, Output
from production_server.model.outputs.output import NUMBER
from production_server.web.showcase import make_sheet
from tests.unit.production_server.web.cards import client

GUESTS: dict[str, Any] = {
    "name": "guests",
    "version": "guests-1",
    "kind": "range",
    "target": "Guests",
    "features": [{"name": "chairs", "low": 0, "high": 9, "default": 4}],
}


class Range(Output):
    """From a low to a high estimate: a shape of answer that no shipped kind has."""

    __slots__ = ()

    kind = "range"
    template = "answer_value.html"
    probabilities = False

    @property
    def labels(self) -> Sequence[str]:
        return ["few", "many"]

    def check_classes(self) -> None:
        if self.classes:
            raise ValueError("a range has no classes")

    @property
    def width(self) -> int:
        return 2

    def check_answers(self, answers: NDArray[np.float32]) -> None:
        if (answers[:, 0] > answers[:, 1]).any():
            raise ModelError("a range ends before it begins", "Sort the outputs.")

    def measure(
        self, truth: NDArray[np.float64], answers: NDArray[np.float64], rows_train: int = 0
    ) -> Metrics:
        within = (answers[:, 0] <= truth) & (truth <= answers[:, 1])
        return Metrics(rows_train=rows_train, rows_test=len(truth), accuracy=float(within.mean()))

    def choose(self, outputs: Sequence[float]) -> int:
        return int(outputs[1] > 10)

    def prediction(self, outputs: Sequence[float]) -> dict[str, Any]:
        return {
            "label": self.labels[self.choose(outputs)],
            "value": outputs[0],
            "to": {"high": outputs[1]},
        }

    def arrange(
        self, outputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return (outputs[:, 1] > 10).astype(int), outputs

    @property
    def columns(self) -> list[str]:
        return ["label", "low", "high"]

    def csv_cells(self) -> list[list[str]]:
        return [[label, NUMBER, NUMBER] for label in self.labels]

    def json_members(self) -> list[dict[str, Any]]:
        return [{"label": label, "value": NUMBER, "to": {"high": NUMBER}} for label in self.labels]

    def verdicts(self) -> list[Sentence]:
        ends = ("number", "value"), " to ", ("number", ("to", "high"))
        return [(f"{label.title()}: ", *ends, ".") for label in self.labels]

    def captions(self) -> list[Sentence]:
        return [(("number", "value"), "+") for _ in self.labels]

    def lines(self) -> list[Sentence]:
        return self.captions()

    @property
    def axis(self) -> str:
        return "At least so many"


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    monkeypatch.setitem(KINDS, Range.kind, Range)
    return Card.model_validate(GUESTS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    yield store
    store.close()


def test_the_card_follows_the_class(card: Card) -> None:
    assert card.width == 2
    with pytest.raises(ValueError, match="no classes"):
        Card.model_validate({**GUESTS, "classes": ["a", "b"]})


def test_import_check_and_scores_follow_the_class(card: Card) -> None:
    refuse_misfit(card, np.array([[1, 2]], np.float32))
    with pytest.raises(ModelError, match="ends before"):
        refuse_misfit(card, np.array([[2, 1]], np.float32))
    answers = np.array([[1.0, 3.0], [4.0, 5.0]])
    assert card.output.measure(np.array([2.0, 2.0]), answers).accuracy == 0.5


def finished(store: Store, card: Card) -> Job:
    job = store.begin(card.version, answer_of(card))
    store.stage(job, 0, 2, b"")
    store.accept(job, Receipt(2, 1, None, "h", 1, [], []), 100)
    outputs = np.array([[1, 2], [3, 12]], "<f4").tobytes()
    store.record(job, 0, Outcome(outputs, None))
    found = store.get(job)
    assert found is not None
    return found


def test_results_of_jobs_follow_the_class(card: Card, store: Store) -> None:
    job = finished(store, card)
    assert b"".join(as_csv(store, job)).decode().splitlines() == [
        "row,label,low,high,error",
        "0,few,1,2,",
        "1,many,3,12,",
    ]
    assert json.loads(b"".join(as_json(store, job)))["predictions"] == [
        {"row": 0, "label": "few", "value": 1, "to": {"high": 2}},
        {"row": 1, "label": "many", "value": 3, "to": {"high": 12}},
    ]


def test_the_page_and_its_cohort_follow_the_class(card: Card) -> None:
    pages, _ = client(card, lambda row: [row[0], row[0] + 2])
    asked = pages.get("/predictions?chairs=9", headers={"Accept": "text/html"}).text
    assert "Many: 9 to 11." in asked
    assert '<span id="value"' in asked
    sheet = make_sheet(card, lambda card, rows: [[row[0], row[0] + 2] for row in rows])
    assert "At least so many" in str(sheet.cohort_chart)
    assert all(case.text.endswith("+") for case in sheet.cases)


def test_the_terminal_follows_the_class(card: Card) -> None:
    output = card.output
    assert write(output.lines()[0], output.prediction([3.0, 4.0])) == "3+"
