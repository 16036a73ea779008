"""The sheet of a version: made once, kept for a few versions, tried again after a failure."""

from __future__ import annotations

import pytest

from production_server.errors import QueueError
from production_server.model.card import Card
from production_server.web.showcase import COHORT_SIZE, KEPT, RETRY_SECONDS, Showcase, make_sheet
from tests.unit.production_server.web.cards import BINARY, MULTICLASS, REGRESSION


def half(card: Card, rows: list[list[float]]) -> list[list[float]]:
    return [[0.5] for _ in rows]


def test_each_version_is_predicted_once_and_only_the_last_few_are_kept() -> None:
    asked: list[str] = []

    def predict(card: Card, rows: list[list[float]]) -> list[list[float]]:
        asked.append(card.version)
        return half(card, rows)

    showcase = Showcase(predict)
    cards = [BINARY.model_copy(update={"version": f"diabetes-{n}"}) for n in range(1, KEPT + 2)]
    for card in (*cards, *cards[1:]):
        assert len(showcase.sheet(card).cases) == COHORT_SIZE
    assert asked == [card.version for card in cards]
    showcase.sheet(cards[0])
    assert asked[-1] == "diabetes-1" and len(asked) == KEPT + 2


def test_a_failed_cohort_is_tried_again_after_a_while() -> None:
    answers = iter([QueueError("no worker", "Wait."), None])

    def predict(card: Card, rows: list[list[float]]) -> list[list[float]]:
        error = next(answers)
        if error is not None:
            raise error
        return half(card, rows)

    now = [100.0]
    showcase = Showcase(predict, lambda: now[0])
    first = showcase.sheet(BINARY)
    assert first.cases == [] and "no worker. Wait." in first.why_no_cases
    assert first.roc is not None and first.tiles
    now[0] += RETRY_SECONDS - 1
    assert showcase.sheet(BINARY) is first, "asked a queue again that had just failed"
    now[0] += 1
    assert len(showcase.sheet(BINARY).cases) == COHORT_SIZE


def test_cases_name_their_class_and_link_to_the_form() -> None:
    sheet = make_sheet(BINARY, half)
    assert sheet.labelled
    assert {case.label for case in sheet.cases} == set(BINARY.classes)
    case = sheet.cases[0]
    assert case.text == "50%"
    assert case.link.startswith("/predictions?pregnancies=") and case.link.endswith("#answer")
    for feature in BINARY.features:
        assert f"{feature.name}={case.row[feature.name]:.{feature.decimals}f}" in case.link


def test_a_card_without_a_cohort_shows_rows_without_classes() -> None:
    sheet = make_sheet(MULTICLASS, lambda card, rows: [[0.2, 0.5, 0.3] for _ in rows])
    assert not sheet.labelled and sheet.tiles == []
    assert {case.text for case in sheet.cases} == {"Chinstrap 50%"}
    assert "predicted Chinstrap" in str(sheet.cohort_chart)


def test_a_value_model_shows_its_errors_and_truth_against_answer() -> None:
    sheet = make_sheet(REGRESSION, lambda card, rows: [[row[0] * 2] for row in rows])
    assert [name for name, _, _ in sheet.tiles] == ["Mean error", "RMSE", "R²"]
    assert sheet.roc is None and sheet.calibration is None
    assert str(sheet.scatter).count("<circle") == 3
    assert sheet.cases[0].text == f"{sheet.cases[0].row['area'] * 2:g} k€"


@pytest.mark.parametrize("truth_only", [True, False])
def test_a_value_model_without_held_out_pairs_has_no_scatter(truth_only: bool) -> None:
    assert REGRESSION.metrics is not None and REGRESSION.metrics.held_out is not None
    short = REGRESSION.metrics.held_out.model_copy(update={"probability": [1.0]})
    metrics = REGRESSION.metrics.model_copy(update={"held_out": short if truth_only else None})
    card = REGRESSION.model_copy(update={"metrics": metrics})
    assert make_sheet(card, lambda c, rows: [[1.0] for _ in rows]).scatter is None
