"""The pages for people: / and /predictions, and the latter's data for programs.

The form works as a plain GET form; page.js, where it runs, asks POST /predict and /jobs instead
and fills the same elements in place.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, render_template, request, url_for

from production_server.errors import QueueError
from production_server.figures import number
from production_server.model import cohort
from production_server.places import COMMAND
from production_server.web import answers, charts, form, problems
from production_server.web.endpoints import (
    ANY_OBJECT,
    UNAVAILABLE,
    json_content,
    operation,
    responses,
    text_answer,
    text_content,
)
from production_server.web.filling import Filling
from production_server.web.problems import Problem
from production_server.web.rows import Warnings
from production_server.web.services import Pinned, Services
from production_server.web.showcase import COHORT_SEED, SAMPLE_ROWS, Sheet, Showcase

DISCLAIMER = (
    "It shows how a model is served. Its answers are statistics, not findings: "
    "base no decision about a person on them."
)


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("pages", __name__, template_folder="templates")
    showcase = Showcase(lambda card, rows: services.predict_now(card, rows).rows())

    @pages.app_context_processor
    def everywhere() -> dict[str, Any]:
        origin = request.host_url.rstrip("/")
        return {
            "asset": asset,
            "short": form.short,
            "disclaimer": DISCLAIMER,
            "origin": origin,
            "command": COMMAND,
        }

    @pages.get("/")
    def welcome() -> str:
        card = services.card()
        example = json.dumps({feature.name: _plain(feature.default) for feature in card.features})
        return render_template("welcome.html", card=card, example=example)

    @pages.get("/predictions")
    def predictions() -> Response:
        # One look at the model in force: a switch in mid-request must not mix two cards.
        pinned = services.pinned
        sheet = showcase.sheet(pinned.card)
        asked = any(name in request.args for name in pinned.card.feature_names)
        asked_for = request.args if asked else None
        if wants_json():
            body = orjson.dumps(document(services, pinned, sheet, asked_for))
            response = Response(body, content_type="application/json")
        else:
            response = page(services, pinned, sheet, asked_for)
        response.vary.add("Accept")
        # A page with somebody's values in it must not outlive the visit in any cache.
        response.headers["Cache-Control"] = "no-store" if asked else "no-cache"
        return response

    @pages.get("/predictions/sample.csv")
    def sample() -> Response:
        card = services.card()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(card.feature_names)
        for row, _ in cohort.sample(card, SAMPLE_ROWS, COHORT_SEED):
            writer.writerow(f"{row[f.name]:.{f.decimals}f}" for f in card.features)
        return Response(text.getvalue(), mimetype="text/csv")

    return pages


def openapi_paths() -> dict[str, Any]:
    """The routes above for the OpenAPI document, but for the welcome page."""
    content = text_content("text/html") | json_content(ANY_OBJECT)
    page_or_data = {"description": "The page, or its data", "content": content}
    summary = "Synthetic rows, for POST /jobs"
    return {
        "/predictions": {
            "get": operation(
                "predictions",
                "The sample cohort's predictions",
                responses({200: page_or_data}, UNAVAILABLE),
            )
        },
        "/predictions/sample.csv": {
            "get": operation("sample", summary, responses({200: text_answer(summary, "text/csv")}))
        },
    }


def page(
    services: Services, pinned: Pinned, sheet: Sheet, submitted: Mapping[str, str] | None
) -> Response:
    """The page, with the answer to the submitted form if there is one."""
    card = pinned.card
    answer, problem = None, None
    if submitted is not None:
        try:
            answer = form.make_answer(card, *ask(services, pinned, submitted))
        except Problem as found:
            problem = found
        except QueueError as error:
            problem = problems.of_queue(error)
    fields = form.make_fields(card, submitted, problem.errors if problem else [])
    low_high = form.span(card)
    text = render_template(
        "predictions.html",
        card=card,
        sheet=sheet,
        fields=fields,
        answer=answer,
        trouble=form.make_trouble(problem, fields) if problem else None,
        output=card.output,
        verdicts=form.verdicts(card.output),
        fill=Filling(answer.prediction if answer else None),
        gauge_mark=charts.gauge_mark(card.threshold),
        span=low_high,
        span_text=[number(end) for end in low_high or ()],
        max_job_rows=f"{services.settings.max_job_rows:,}",
    )
    return Response(text, problem.status if problem else 200, problem.headers if problem else {})


def ask(
    services: Services, pinned: Pinned, submitted: Mapping[str, str]
) -> tuple[list[float], Warnings]:
    """The model's outputs for the submitted row, and what is odd about its values."""
    values, warnings, errors = pinned.schema.check_form(submitted)
    if errors:
        count = len(errors)
        raise Problem(
            422,
            "invalid_rows",
            f"{count} of the values cannot be used",
            "Correct them and ask again.",
            errors=list(errors.values()),
        )
    return services.predict_now(pinned.card, [values]).rows()[0], warnings


def document(
    services: Services, pinned: Pinned, sheet: Sheet, submitted: Mapping[str, str] | None
) -> dict[str, Any]:
    """What the page shows, for programs."""
    card = pinned.card
    told = {
        "model": card.name,
        "version": card.version,
        "synthetic": True,
        "disclaimer": f"A demonstration, no medical device. {DISCLAIMER}",
        "card": card.model_dump(mode="json", exclude={"metrics", "cohort"}),
        "metrics": card.metrics.model_dump(mode="json") if card.metrics else None,
        "cohort": [
            {
                "row": case.row,
                "label": case.label,
                "prediction": card.output.prediction(case.outputs),
            }
            for case in sheet.cases
        ],
        "cohort_note": sheet.why_no_cases or "Synthetic: no real person is among these rows.",
    }
    if submitted is not None:
        outputs, warnings = ask(services, pinned, submitted)
        told["predictions"] = answers.answer(card, [outputs], [warnings])["predictions"]
    return told


def wants_json() -> bool:
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return best == "application/json"


def asset(name: str) -> str:
    """The address of a static file; it changes with its content, so that browsers may keep it."""
    return url_for("static", filename=name, v=_digest(name))


@cache
def _digest(name: str) -> str:
    content = (Path(__file__).parent / "static" / name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:8]


def _plain(value: float) -> float | int:
    return int(value) if value.is_integer() else value
