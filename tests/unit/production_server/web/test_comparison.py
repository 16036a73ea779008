"""Both versions side by side: what is counted in memory, added up and shown."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest
from sqlalchemy.exc import OperationalError

from production_server.messaging.batches import Answer
from production_server.model.card import Card
from production_server.model.rollout import Candidate
from production_server.web.comparison import side
from production_server.web.problems import Problem
from production_server.web.rollout_api import Outcome, count
from production_server.web.tallies import Tallies, Tally
from tests.unit.production_server.web.cards import BINARY, MULTICLASS, REGRESSION

TRIAL = Candidate(version="diabetes-2", share=0.5)


def answer(card: Card, *rows: tuple[float, ...]) -> Answer:
    numbers = [number for row in rows for number in row]
    packed = struct.pack(f"<{len(numbers)}f", *numbers)
    return Answer(card.version, packed, len(rows[0]), 0.001)


def shown(card: Card, *answers: Answer) -> dict[str, object]:
    tally = Tally(card)
    for one in answers:
        tally.answered(0.004, one)
    found: dict[str, object] = side(card, tally.take(), {})["answers"]
    return found


def test_each_kind_of_answer() -> None:
    binary = shown(BINARY, answer(BINARY, (0.0,), (0.05,), (0.95,), (1.0,)))
    assert binary["shares"] == {"no diabetes": 0.5, "diabetes": 0.5}
    assert binary["probabilities"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    classes = shown(MULTICLASS, answer(MULTICLASS, (0.1, 0.2, 0.7), (0.75, 0.15, 0.1)))
    assert classes["shares"] == {"Adelie": 0.5, "Chinstrap": 0, "Gentoo": 0.5}
    values = shown(REGRESSION, answer(REGRESSION, (100.0,)), answer(REGRESSION, (300.0,)))
    assert values == {"rows": 2, "mean": 200, "standard_deviation": 100}


@pytest.mark.parametrize("card", [BINARY, MULTICLASS, REGRESSION])
def test_nothing_is_counted_yet(card: Card) -> None:
    found = side(card, {}, {})
    assert found["requests"] == found["outcomes"]["count"] == 0
    assert found["seconds"] == {"median": None, "p95": None, "p99": None}


def test_durations_and_failures() -> None:
    tally = Tally(BINARY)
    for _ in range(3):
        tally.answered(0.004, answer(BINARY, (0.5,)))
    tally.failed()
    found = side(BINARY, tally.take(), {})
    assert (found["requests"], found["failures"], found["failure_share"]) == (4, 1, 0.25)
    assert found["seconds"]["median"] == pytest.approx(0.004, rel=0.2)
    assert tally.take() == {}


def test_what_could_not_be_written_is_written_later() -> None:
    written: list[Mapping[str, float]] = []
    broken = [OperationalError("", {}, Exception("full"))]

    def add(trial: int, version: str, amounts: Mapping[str, float]) -> None:
        assert (trial, version) == (TRIAL.number, BINARY.version)
        if broken:
            raise broken.pop()
        written.append(dict(amounts))

    tallies = Tallies(add)
    tally = tallies.of(TRIAL, BINARY)
    assert tallies.of(TRIAL, BINARY) is tally
    tally.failed()
    tallies.write()
    tally.failed()
    tallies.write()
    tallies.write()
    assert written == [{"requests": 2, "failures": 2}]


def outcome(predicted: object, truth: object, card: Card = BINARY) -> Outcome:
    given = {"version": card.version, "predicted": predicted, "outcome": truth}
    return Outcome.model_validate(given)


def test_outcomes_are_only_summed() -> None:
    cards = {card.version: card for card in (BINARY, REGRESSION)}
    yes, no = "diabetes", "no diabetes"
    found = [outcome(yes, yes), outcome(yes, no), outcome(100.0, 97.0, REGRESSION)]
    amounts = count(found, cards)
    assert amounts == {
        BINARY.version: {"outcomes": 2, "right": 1},
        REGRESSION.version: {"outcomes": 1, "errors": 3, "squares": 9},
    }
    assert side(BINARY, {}, amounts[BINARY.version])["outcomes"]["accuracy"] == 0.5
    measured = side(REGRESSION, {}, amounts[REGRESSION.version])["outcomes"]
    assert measured == {"count": 1, "mean_absolute_error": 3, "root_mean_square_error": 3}


@pytest.mark.parametrize(
    ("card", "predicted", "truth"),
    [
        (BINARY, "diabetes", "perhaps"),
        (BINARY, 0.5, "diabetes"),
        (REGRESSION, "House price", 3.0),
        (REGRESSION, float("inf"), 3.0),
        (REGRESSION, 1e200, 0.0),
    ],
)
def test_outcomes_that_make_no_sense(card: Card, predicted: object, truth: object) -> None:
    with pytest.raises(Problem) as refused:
        count([outcome(predicted, truth, card)], {card.version: card})
    assert refused.value.code == "invalid_outcomes"
