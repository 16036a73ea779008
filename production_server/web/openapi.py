"""/openapi.json: generated from the types that check requests and define errors."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response
from pydantic import TypeAdapter

from production_server.web import front, jobs_api, operations, pages
from production_server.web.current_model import Pinned
from production_server.web.openapi_parts import JSON
from production_server.web.problems import ProblemBody
from production_server.web.services import Services


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

    raw = {
        "openapi": "3.1.1",
        "info": {
            "title": f"Stackserve: {pinned.card.target}",
            "version": pinned.version,
            "description": "This is a demo, not a medical device.",
        },
        "paths": {
            **front.openapi_paths(pinned),
            **pages.openapi_paths(),
            **operations.openapi_paths(),
            **jobs_api.openapi_paths(),
        },
        "components": {"schemas": _schemas(pinned)},
    }
    OpenAPI.model_validate(raw)
    return raw


def _schemas(pinned: Pinned) -> dict[str, Any]:
    reference = "#/components/schemas/{model}"
    problem = TypeAdapter(ProblemBody).json_schema(ref_template=reference)
    nested = problem.pop("$defs", {})
    row = pinned.schema.one.json_schema()
    # A job can ignore unknown names, so its schema allows them; by default they are an error.
    job_row = {**row, "title": "JobRow", "additionalProperties": True}
    return {"Row": row, "JobRow": job_row, "Problem": problem, **nested}
