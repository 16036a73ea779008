"""/openapi.json: generated from the types that check requests and define errors."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response
from pydantic import TypeAdapter

from production_server.access.policy import Scope, needed
from production_server.web import (
    jobs_api,
    models_api,
    operations,
    operations_page,
    pages,
    predict_openapi,
    rollout_api,
    training_api,
)
from production_server.web.admission import EXEMPT
from production_server.web.current_model import Pinned
from production_server.web.openapi_parts import JSON, Schema, responses
from production_server.web.problems import ProblemBody
from production_server.web.request_ids import LONGEST
from production_server.web.services import Services

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of this service."},
    "basic": {"type": "http", "scheme": "basic", "description": "The token is the password."},
}

HEADERS = {
    "RequestId": {
        "required": True,
        "description": "The ID of the request: the client's own X-Request-Id if it has only "
        f"letters, digits, dots, hyphens and underscores, at most {LONGEST}; otherwise a new one",
        "schema": {"type": "string", "pattern": f"^[A-Za-z0-9._-]{{1,{LONGEST}}}$"},
    },
    "RetryAfter": {
        "required": True,
        "description": "Seconds to wait before the next attempt",
        "schema": {"type": "integer", "minimum": 1},
    },
}


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("openapi", __name__)
    cache: dict[str, bytes] = {}

    @routes.get("/openapi.json")
    def openapi() -> Response:
        pinned = services.pinned
        if pinned.version not in cache:
            cache.clear()
            cache[pinned.version] = orjson.dumps(document(pinned))
        return Response(cache[pinned.version], content_type=JSON)

    return routes


def document(pinned: Pinned) -> dict[str, Any]:
    """The OpenAPI 3.1 document for the current model, validated."""
    # Imported here because it takes a tenth of the web tier's start, and is rarely needed.
    from openapi_pydantic import OpenAPI

    paths = {
        **predict_openapi.openapi_paths(pinned),
        **pages.openapi_paths(),
        **operations.openapi_paths(),
        **operations_page.openapi_paths(),
        **jobs_api.openapi_paths(),
        **models_api.openapi_paths(),
        **training_api.openapi_paths(),
        **rollout_api.openapi_paths(),
    }
    raw = {
        "openapi": "3.1.1",
        "info": {
            "title": f"Stackserve: {pinned.card.target}",
            "version": pinned.version,
            "description": "This is a demo, not a medical device.",
        },
        "paths": {path: _guarded(path, item) for path, item in paths.items()},
        "components": {
            "schemas": _schemas(pinned),
            "headers": HEADERS,
            "securitySchemes": SCHEMES,
        },
    }
    OpenAPI.model_validate(raw)
    return raw


def _guarded(path: str, item: Schema) -> Schema:
    """The operations of a path, with the scope that each needs and what it answers without it."""
    route = path.replace("{", "<").replace("}", ">")
    return {
        name: _with_id(_limited(path, _with_scope(part, needed(name.upper(), route))))
        if "responses" in part
        else part
        for name, part in item.items()
    }


def _limited(path: str, described: Schema) -> Schema:
    """With the refusal of a client that sends too much."""
    if path in EXEMPT:
        return described
    known = described["responses"].get("429", {}).get("description", "")
    text = f"{known}. Or too many requests" if known else "Too many requests"
    refused = responses({}, {429: f"{text} from this client; try again after Retry-After"})
    refused["429"]["headers"] = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return {**described, "responses": described["responses"] | refused}


def _with_id(described: Schema) -> Schema:
    """With the header that every answer has."""
    named = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    answers = {
        status: {**answer, "headers": answer.get("headers", {}) | named}
        for status, answer in described["responses"].items()
    }
    return {**described, "responses": answers}


def _with_scope(described: Schema, scope: Scope | None) -> Schema:
    if scope is None:
        return described
    refused = {
        401: "A valid token is missing",
        403: "The token lacks the scope, or another site sent this",
    }
    return {
        **described,
        "description": f"Scope: {scope.value}.",
        "security": [{}, {"bearer": []}, {"basic": []}],
        "responses": described["responses"] | responses({}, refused),
    }


def _schemas(pinned: Pinned) -> dict[str, Any]:
    reference = "#/components/schemas/{model}"
    problem = TypeAdapter(ProblemBody).json_schema(ref_template=reference)
    nested = problem.pop("$defs", {})
    row = pinned.schema.one.json_schema()
    # A job can ignore unknown names, so its schema allows them; by default they are an error.
    job_row = {**row, "title": "JobRow", "additionalProperties": True}
    return {"Row": row, "JobRow": job_row, "Problem": problem, **nested}
