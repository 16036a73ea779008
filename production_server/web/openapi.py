"""/openapi.json: made from the same types that check requests and shape errors."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response
from pydantic import TypeAdapter

from production_server.web import front, jobs_api, operations, pages
from production_server.web.endpoints import JSON
from production_server.web.problems import ProblemBody
from production_server.web.services import Pinned, Services


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

    raw = {
        "openapi": "3.1.1",
        "info": {
            "title": f"Stackserve: {pinned.card.target}",
            "version": pinned.version,
            "description": "A demonstration, not a medical device.",
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
    # Unknown names are refused unless the job asks to ignore them: not for a schema to say.
    job_row = {**row, "title": "JobRow", "additionalProperties": True}
    return {"Row": row, "JobRow": job_row, "Problem": problem, **nested}
