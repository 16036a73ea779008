"""The HTML pages / and /predictions, and the data of /predictions as JSON.

The form works without JavaScript, as a GET form. With it, page.js calls POST /predict and /jobs
instead and fills the same elements in place.
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
from production_server.web.access import current
from production_server.web.choice import for_page
from production_server.web.current_model import Pinned
from production_server.web.filling import Filling
from production_server.web.openapi_parts import (
    ANY_OBJECT,
    UNAVAILABLE,
    json_content,
    operation,
    responses,
    text_answer,
    text_content,
)
from production_server.web.problems import Problem
from production_server.web.request_ids import current_id
from production_server.web.rows import Warnings
from production_server.web.services import Services
from production_server.web.showcase import COHORT_SEED, SAMPLE_ROWS, Sheet, Showcase

DISCLAIMER = (
    "It shows how to serve a model. Its predictions are statistics, not diagnoses: "
    "do not base decisions about people on them."
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
            "caller": current(),
            "csrf": services.access.csrf(),
        }

    @pages.get("/")
    def welcome() -> str:
        card = services.card()
        example = json.dumps({feature.name: _plain(feature.default) for feature in card.features})
        return render_template("welcome.html", card=card, example=example)

    @pages.get("/predictions")
    def predictions() -> Response:
        # Read once: a model switch during the request must not mix two cards.
        pinned = for_page(services.pinned)
        sheet = showcase.sheet(pinned.card)
        asked = any(name in request.args for name in pinned.card.feature_names)
        asked_for = request.args if asked else None
        if wants_json():
            body = orjson.dumps(document(services, pinned, sheet, asked_for))
            response = Response(body, content_type="application/json")
        else:
            response = page(services, pinned, sheet, asked_for)
        response.vary.add("Accept")
        # No cache may keep a page that contains a person's values.
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
    """The OpenAPI description of the routes above, without the welcome page."""
    content = text_content("text/html") | json_content(ANY_OBJECT)
    page_or_data = {"description": "The page, or its data as JSON", "content": content}
    sample = operation(
        "sample",
        "Get synthetic rows to upload to POST /jobs",
        responses({200: text_answer("The rows", "text/csv")}),
    )
    return {
        "/predictions": {
            "get": operation(
                "predictions",
                "Get the predictions for the sample cohort",
                responses({200: page_or_data}, UNAVAILABLE),
            )
        },
        "/predictions/sample.csv": {"get": sample},
    }


def page(
    services: Services, pinned: Pinned, sheet: Sheet, submitted: Mapping[str, str] | None
) -> Response:
    """The HTML page, with the answer to a submitted form."""
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
        trouble=form.make_trouble(problem, fields, current_id()) if problem else None,
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
    """The model's outputs for the submitted row, and the warnings about its values."""
    values, warnings, errors = pinned.schema.check_form(submitted)
    if errors:
        count = len(errors)
        raise Problem(
            422,
            "invalid_rows",
            f"{count} of the values {'is' if count == 1 else 'are'} invalid.",
            "Correct them and submit the form again.",
            errors=list(errors.values()),
        )
    return services.predict_now(pinned.card, [values], current_id()).rows()[0], warnings


def document(
    services: Services, pinned: Pinned, sheet: Sheet, submitted: Mapping[str, str] | None
) -> dict[str, Any]:
    """The content of the page as JSON."""
    card = pinned.card
    told = {
        "model": card.name,
        "version": card.version,
        "synthetic": True,
        "disclaimer": f"A demonstration, not a medical device. {DISCLAIMER}",
        "card": card.model_dump(mode="json", exclude={"metrics", "cohort", "sanity"}),
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
    """The URL of a static file, with a hash of its content so that browsers can cache it."""
    return url_for("static", filename=name, v=_digest(name))


@cache
def _digest(name: str) -> str:
    content = (Path(__file__).parent / "static" / name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:8]


def _plain(value: float) -> float | int:
    return int(value) if value.is_integer() else value
