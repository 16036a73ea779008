"""/openapi.json: made from the same types that check requests and shape errors."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response
from pydantic import TypeAdapter

from production_server.web.problems import MEDIA_TYPE, ProblemBody
from production_server.web.services import Pinned, Services

JSON = "application/json"
ANY_OBJECT: dict[str, Any] = {"type": "object"}
UNAVAILABLE = {503: "No answer from the queue in time; try again after Retry-After"}


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("openapi", __name__)
    made: dict[str, bytes] = {}

    @routes.get("/openapi.json")
    def openapi() -> Response:
        pinned = services.pinned
        if pinned.version not in made:
            made.clear()
            made[pinned.version] = orjson.dumps(document(pinned))
        return Response(made[pinned.version], content_type=JSON)

    return routes


def document(pinned: Pinned) -> dict[str, Any]:
    """The OpenAPI 3.1 document for the model in force, checked by its library."""
    # Here: few ask for the document, and this takes a tenth of the web tier's start.
    from openapi_pydantic import OpenAPI

    from production_server.web.jobs_api import openapi_paths

    raw = {
        "openapi": "3.1.1",
        "info": {
            "title": f"Stackserve: {pinned.card.target}",
            "version": pinned.version,
            "description": "A demonstration, not a medical device.",
        },
        "paths": {**_predict_paths(pinned), **_operation_paths(), **openapi_paths()},
        "components": {"schemas": _schemas(pinned)},
    }
    OpenAPI.model_validate(raw)
    return raw


def _schemas(pinned: Pinned) -> dict[str, Any]:
    reference = "#/components/schemas/{model}"
    problem = TypeAdapter(ProblemBody).json_schema(ref_template=reference)
    nested = problem.pop("$defs", {})
    row = pinned.schema.one.json_schema()
    # Unknown names are refused unless the job asks to ignore them: not for a schema to say.
    job_row = {**row, "title": "JobRow", "additionalProperties": True}
    return {"Row": row, "JobRow": job_row, "Problem": problem, **nested}


def problem_response(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def responses(ok: dict[int, dict[str, Any]], errors: dict[int, str]) -> dict[str, Any]:
    """Answers by status: what is promised, and the problems that may come instead."""
    told = {str(status): body for status, body in ok.items()}
    return told | {str(status): problem_response(text) for status, text in errors.items()}


def json_answer(description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": schema or ANY_OBJECT}}}


def _predict_paths(pinned: Pinned) -> dict[str, Any]:
    row = {"$ref": "#/components/schemas/Row"}
    fields = pinned.schema.one.json_schema()["properties"]
    parameters = [
        {"name": name, "in": "query", "required": True, "schema": schema}
        for name, schema in fields.items()
    ]
    refused = {
        400: "The request cannot be read",
        422: "A value is missing, not a number, not finite or impossible, or a name is unknown",
        429: "Too many requests wait",
        **UNAVAILABLE,
    }
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": pinned.schema.max_rows}
    body = {"required": True, "content": {JSON: {"schema": {"anyOf": [row, many]}}}}
    return {
        "/predict": {
            "get": {
                "operationId": "predict_one",
                "summary": "Predict one row now",
                "parameters": parameters,
                "responses": responses({200: json_answer("The prediction")}, refused),
            },
            "post": {
                "operationId": "predict",
                "summary": "Predict one row or a list of rows now",
                "requestBody": body,
                "responses": responses(
                    {200: json_answer("A prediction for each row, in order")},
                    {
                        **refused,
                        413: "Too many rows or bytes for an answer now",
                        415: "Not application/json",
                    },
                ),
            },
        }
    }


def _operation_paths() -> dict[str, Any]:
    def get(name: str, summary: str, errors: dict[int, str] | None = None) -> dict[str, Any]:
        told = responses({200: json_answer(summary)}, errors or {})
        return {"get": {"operationId": name, "summary": summary, "responses": told}}

    def text(name: str, summary: str, media: str = "text/plain") -> dict[str, Any]:
        content = {media: {"schema": {"type": "string"}}}
        told = {"200": {"description": summary, "content": content}}
        return {"get": {"operationId": name, "summary": summary, "responses": told}}

    ready = get("ready", "Broker, worker and store answer")
    ready["get"]["responses"]["503"] = json_answer("Some part does not answer; the body says which")
    page = {"description": "The page, or its data"}
    page["content"] = {"text/html": {"schema": {"type": "string"}}, JSON: {"schema": ANY_OBJECT}}  # type: ignore[assignment]
    predictions = get("predictions", "The sample cohort's predictions", UNAVAILABLE)
    predictions["get"]["responses"]["200"] = page
    return {
        "/predictions": predictions,
        "/predictions/sample.csv": text("sample", "Synthetic rows, for POST /jobs", "text/csv"),
        "/accuracy": get("accuracy", "How good the model is on held-out rows"),
        "/models": get("models", "The versions in the registry"),
        "/alive": get("alive", "The process, its memory, model and versions"),
        "/ready": ready,
        "/ping": text("ping", "pong"),
        "/metrics": text("metrics", "Counters for Prometheus"),
    }
