"""The pages over HTTP: what they hold, in which form, and what happens without a queue."""

from __future__ import annotations

import csv
import io
import math
import re

import pytest
from flask.testing import FlaskClient

from production_server.model.card import Card
from production_server.web import showcase
from production_server.web.pages import DISCLAIMER
from production_server.web.rows import RowSchema
from production_server.web.showcase import COHORT_SIZE, SAMPLE_ROWS
from tests.unit.production_server.web.cards import (
    BINARY,
    MULTICLASS,
    REGRESSION,
    Model,
    Queue,
    client,
)

JSON = {"Accept": "application/json"}
SICK = (
    "pregnancies=8&glucose=181&blood_pressure=72&skin_thickness=29"
    "&insulin=125&bmi=38.4&diabetes_pedigree=0.4&age=52"
)
MODELS: list[tuple[Card, Model]] = [
    (BINARY, lambda row: [0.75 if row[1] > 130 else 0.25]),
    (MULTICLASS, lambda row: [0.7, 0.2, 0.1]),
    (REGRESSION, lambda row: [row[0] * 2]),
]
NAMES = ["binary", "multiclass", "regression"]


@pytest.fixture
def diabetes() -> tuple[FlaskClient, Queue]:
    return client(*MODELS[0])


@pytest.mark.parametrize(("card", "model"), MODELS, ids=NAMES)
def test_pages_of_every_kind_say_what_they_are(card: Card, model: Model) -> None:
    browser, _ = client(card, model)
    for path in ("/", "/predictions"):
        page = browser.get(path)
        assert page.status_code == 200
        assert page.content_type == "text/html; charset=utf-8"
        assert card.target in page.text
        assert "not a medical device" in page.text and DISCLAIMER in page.text


@pytest.mark.parametrize(("card", "model"), MODELS, ids=NAMES)
def test_pages_hold_no_inline_script_or_style_and_nothing_from_elsewhere(
    card: Card, model: Model
) -> None:
    browser, _ = client(card, model)
    for path in ("/", "/predictions"):
        text = browser.get(path).text
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=", text) == []
        loaded = re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"([^\"]+)", text)
        assert loaded and all(address.startswith("/static/") for address in loaded)


def test_static_files_are_small_and_change_their_address_with_their_content(
    diabetes: tuple[FlaskClient, Queue],
) -> None:
    browser, _ = diabetes
    for address in set(re.findall(r"/static/[\w.]+\?v=\w{8}", browser.get("/predictions").text)):
        file = browser.get(address)
        assert file.status_code == 200
        assert len(file.data) < 13_312


def test_the_form_is_made_from_the_card(diabetes: tuple[FlaskClient, Queue]) -> None:
    text = diabetes[0].get("/predictions").text
    for feature in BINARY.features:
        assert f'name="{feature.name}" value="{feature.default:.{feature.decimals}f}"' in text
        assert f'aria-describedby="f-{feature.name}-hint f-{feature.name}-error"' in text
    assert '<span class="unit">mg/dL</span>' in text
    assert "Plausible: 40 to 250, 0 if not measured" in text


def test_a_submitted_form_is_answered_in_the_page(diabetes: tuple[FlaskClient, Queue]) -> None:
    page = diabetes[0].get(f"/predictions?{SICK}")
    assert page.status_code == 200
    assert "Diabetes: the probability of diabetes is 75%, at or above the threshold" in page.text
    assert 'aria-valuenow="75"' in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_wrong_values_are_told_and_kept(diabetes: tuple[FlaskClient, Queue]) -> None:
    page = diabetes[0].get("/predictions?glucose=abc%22%3E&age=-3&bmi=nan")
    assert page.status_code == 422
    assert "Is not a number:" in page.text and "Cannot be -3" in page.text
    assert "Is not a number (NaN)" in page.text and "Has no value" in page.text
    assert 'value="abc&#34;&gt;"' in page.text
    assert page.text.count('aria-invalid="true"') == len(BINARY.features)


def test_a_number_too_large_for_the_model_is_told_at_its_field(
    diabetes: tuple[FlaskClient, Queue],
) -> None:
    page = diabetes[0].get(f"/predictions?{SICK.replace('glucose=181', 'glucose=1e39')}")
    assert page.status_code == 422
    assert page.text.count('aria-invalid="true"') == 1


def test_data_for_programs_is_the_same_as_the_page(diabetes: tuple[FlaskClient, Queue]) -> None:
    answer = diabetes[0].get("/predictions", headers=JSON)
    body = answer.get_json()
    assert answer.vary.as_set() >= {"accept"}
    assert body["model"] == "diabetes" and body["version"] == BINARY.version
    assert body["synthetic"] is True and "not a medical device" in body["disclaimer"]
    assert [f["name"] for f in body["card"]["features"]] == BINARY.feature_names
    assert BINARY.metrics is not None and body["metrics"]["accuracy"] == BINARY.metrics.accuracy
    assert len(body["cohort"]) == COHORT_SIZE
    case = body["cohort"][0]
    assert set(case["row"]) == set(BINARY.feature_names) and case["label"] in BINARY.classes
    assert case["prediction"]["probability"] == (0.75 if case["row"]["glucose"] > 130 else 0.25)
    assert "predictions" not in body


def test_programs_get_the_answer_to_a_row_or_a_problem(
    diabetes: tuple[FlaskClient, Queue],
) -> None:
    browser, _ = diabetes
    good = browser.get(f"/predictions?{SICK}", headers=JSON).get_json()
    assert good["predictions"] == [
        {"label": "diabetes", "probability": 0.75, "positive": True, "warnings": []}
    ]
    bad = browser.get("/predictions?glucose=abc", headers=JSON)
    assert bad.status_code == 422 and bad.content_type == "application/problem+json"
    assert {error["code"] for error in bad.get_json()["errors"]} == {
        "not_a_number",
        "missing_value",
    }


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8", ""])
def test_browsers_and_curl_get_the_page(accept: str, diabetes: tuple[FlaskClient, Queue]) -> None:
    page = diabetes[0].get("/predictions", headers={"Accept": accept})
    assert page.content_type.startswith("text/html")


def test_the_cohort_is_predicted_once_for_all_requests(diabetes: tuple[FlaskClient, Queue]) -> None:
    browser, queue = diabetes
    browser.get("/")
    assert queue.asked == []
    for _ in range(3):
        browser.get("/predictions")
        browser.get("/predictions", headers=JSON)
    assert queue.asked == [COHORT_SIZE]


def test_without_a_queue_the_page_still_explains_itself(
    diabetes: tuple[FlaskClient, Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showcase, "RETRY_SECONDS", 0.0)
    browser, queue = diabetes
    queue.broken = True
    page = browser.get("/predictions")
    assert page.status_code == 200
    assert "no predictions right now: no worker answered" in page.text and "ROC curve" in page.text
    asked = browser.get(f"/predictions?{SICK}")
    assert asked.status_code == 503 and int(asked.headers["Retry-After"]) > 0
    assert "No worker answered within 10 s." in asked.text
    queue.broken = False
    assert browser.get("/predictions").text.count('<tr><th scope="row"><a') == COHORT_SIZE


@pytest.mark.parametrize("card", [card for card, _ in MODELS], ids=NAMES)
def test_a_model_that_answers_nonsense_does_not_break_the_page(card: Card) -> None:
    browser, _ = client(card, lambda row: [math.nan] * card.width)
    page = browser.get("/predictions")
    assert page.status_code == 200
    assert "synthetic cases, a row for each" not in page.text
    case = browser.get("/predictions", headers=JSON).get_json()["cohort"][0]
    assert None in case["prediction"].values()


@pytest.mark.parametrize(("card", "model"), MODELS, ids=NAMES)
def test_the_sample_file_holds_rows_that_the_model_takes(card: Card, model: Model) -> None:
    browser, _ = client(card, model)
    answer = browser.get("/predictions/sample.csv")
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == SAMPLE_ROWS
    schema = RowSchema(card, 1)
    assert all(schema.check_form(row)[2] == {} for row in rows)
