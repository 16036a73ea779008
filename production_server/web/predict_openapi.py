"""The OpenAPI description of /predict, which front.py answers."""

from __future__ import annotations

from typing import Any

from production_server.model.card import VERSION_PATTERN
from production_server.web.choice import PARAMETER
from production_server.web.current_model import Pinned
from production_server.web.front import PREDICT
from production_server.web.openapi_parts import (
    UNAVAILABLE,
    json_answer,
    json_content,
    operation,
    query_parameter,
    responses,
)


def openapi_paths(pinned: Pinned) -> dict[str, Any]:
    """The description of the route."""
    row = {"$ref": "#/components/schemas/Row"}
    fields = pinned.schema.one.json_schema()["properties"]
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": pinned.schema.max_rows}
    refused = {
        400: "The request cannot be read",
        422: "A value is missing, not a number, not finite or impossible; or a name is unknown",
        429: "Too many requests are waiting; try again after Retry-After",
        403: "The version takes the scope models",
        404: "There is no such version",
        **UNAVAILABLE,
    }
    version = query_parameter(
        PARAMETER,
        {"type": "string", "pattern": VERSION_PATTERN, "maxLength": 80},
        "the version that shall answer; by default the active one, or the one on trial",
    )
    refused_body = {
        413: "Too many rows or bytes for one request; use POST /jobs",
        415: "The body is not application/json",
    }
    return {
        PREDICT: {
            "get": operation(
                "predict_one",
                "Predict one row",
                responses(
                    {200: json_answer("The prediction")},
                    {**refused, 414: "The query is too long; send the row with POST"},
                ),
                parameters=[
                    {"name": name, "in": "query", "required": True, "schema": schema}
                    for name, schema in fields.items()
                ]
                + ([] if PARAMETER in fields else [version]),
            ),
            "post": operation(
                "predict",
                "Predict one row or a list of rows",
                responses(
                    {200: json_answer("One prediction per row, in the same order")},
                    {**refused, **refused_body},
                ),
                parameters=[version],
                body=json_content({"anyOf": [row, many]}),
            ),
        }
    }
