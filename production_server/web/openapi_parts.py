"""The building blocks of OpenAPI paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from production_server.web.problems import MEDIA_TYPE

Schema = dict[str, Any]

JSON = "application/json"
ANY_OBJECT: Schema = {"type": "object"}
UNAVAILABLE = {503: "The queue gave no answer in time; try again after Retry-After"}


def operation(
    name: str,
    summary: str,
    answers: Schema,
    *,
    parameters: Sequence[Schema] = (),
    body: Schema | None = None,
) -> Schema:
    """One method of a path: its parameters, body and responses."""
    described: Schema = {"operationId": name, "summary": summary}
    if parameters:
        described["parameters"] = list(parameters)
    if body:
        described["requestBody"] = {"required": True, "content": body}
    return {**described, "responses": answers}


def query_parameter(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def responses(ok: dict[int, Schema], errors: dict[int, str] | None = None) -> Schema:
    """Responses by status: the successful ones, and the errors by description."""
    described = {str(status): body for status, body in ok.items()}
    problems = {str(status): problem_response(text) for status, text in (errors or {}).items()}
    return described | problems


def problem_response(description: str) -> Schema:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def json_answer(description: str, schema: Schema | None = None) -> Schema:
    return {"description": description, "content": json_content(schema or ANY_OBJECT)}


def text_answer(description: str, media: str = "text/plain") -> Schema:
    return {"description": description, "content": text_content(media)}


def json_content(schema: Schema) -> Schema:
    return {JSON: {"schema": schema}}


def text_content(media: str) -> Schema:
    return {media: {"schema": {"type": "string"}}}
