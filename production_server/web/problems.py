"""Errors of the HTTP API: application/problem+json (RFC 9457), a stable code and a remedy."""

from __future__ import annotations

import logging
from http import HTTPStatus

import orjson
from flask import Flask, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from production_server.errors import (
    JobError,
    KeyReused,
    QueueError,
    QueueFull,
    RowsRefused,
    StackserveError,
    UploadMalformed,
    UploadTooLarge,
)

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# How soon a client may try again when jobs or their store are the reason.
RETRY_SECONDS = 10
JOB_STATUS = {UploadMalformed: 400, UploadTooLarge: 413, KeyReused: 409, QueueFull: 429}


class FieldProblem(BaseModel):
    """What is wrong with one value."""

    model_config = ConfigDict(extra="forbid")

    row: int | None = Field(None, description="which row of the request, from 0")
    line: int | None = Field(None, description="which line of an uploaded CSV, from 1")
    field: str
    code: str = Field(
        description="missing_value, not_a_number, nan, infinite, impossible, unknown_field "
        "or not_a_row"
    )
    detail: str
    remedy: str


class ProblemBody(BaseModel):
    """The body of every error."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    code: str = Field(description="stable: programs may switch on it")
    detail: str
    remedy: str
    errors: list[FieldProblem] = []


class Problem(Exception):
    """An error with everything that its answer needs."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        remedy: str,
        *,
        errors: list[FieldProblem] | None = None,
        headers: dict[str, str] | None = None,
        more: dict[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.errors = errors or []
        self.headers = headers or {}
        self.more = more or {}

    def body(self) -> bytes:
        fields: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "remedy": self.remedy,
            **self.more,
        }
        if self.errors:
            fields["errors"] = [error.model_dump(exclude_none=True) for error in self.errors]
        return orjson.dumps(fields)


def of_queue(error: QueueError) -> Problem:
    """No answer came: the client may try again."""
    return Problem(503, "queue_unavailable", str(error), error.remedy, headers={"Retry-After": "2"})


def of_service(error: StackserveError) -> Problem:
    """Some part of the service cannot do its work now."""
    return Problem(503, "unavailable", str(error), error.remedy, headers={"Retry-After": "5"})


def of_job(error: JobError) -> Problem:
    """An upload that cannot become a job."""
    detail = f"{str(error)[:1].upper()}{str(error)[1:]}."
    if isinstance(error, RowsRefused):
        more: dict[str, object] = {"errors": error.errors, "error_count": error.count}
        return Problem(422, error.code, detail, error.remedy, more=more)
    headers = {"Retry-After": str(RETRY_SECONDS)} if isinstance(error, QueueFull) else {}
    return Problem(JOB_STATUS[type(error)], error.code, detail, error.remedy, headers=headers)


def of_store(error: SQLAlchemyError) -> Problem:
    """The database is locked, full or away."""
    log.error("the store does not answer", exc_info=error)
    return Problem(
        503,
        "store_unavailable",
        "The store of the jobs does not answer.",
        "Try again; on the server, look whether its disk is full or its database is down.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def of_http(error: HTTPException) -> Problem:
    """What the router found: 404, 405, 413 and their like."""
    status = error.code or 500
    remedies = {
        404: "See /openapi.json for what there is.",
        405: "See the Allow header and /openapi.json.",
        413: "Send less at once; large tables go to POST /jobs.",
        415: "Send application/json, or for jobs text/csv.",
    }
    headers = {}
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        headers["Allow"] = ", ".join(sorted(allowed))
    return Problem(
        status,
        HTTPStatus(status).phrase.lower().replace(" ", "_"),
        error.description or HTTPStatus(status).phrase,
        remedies.get(status, "See /openapi.json."),
        headers=headers,
    )


def of_internal(error: BaseException) -> Problem:
    log.error("unexpected error", exc_info=error)
    return Problem(
        500, "internal_error", "The server met an error of its own.", "It is in the server's log."
    )


def answer(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers, content_type=MEDIA_TYPE)


def install(app: Flask) -> None:
    """Make Flask answer every error as a problem."""
    app.register_error_handler(Problem, answer)
    app.register_error_handler(QueueError, lambda error: answer(of_queue(error)))
    app.register_error_handler(JobError, lambda error: answer(of_job(error)))
    app.register_error_handler(SQLAlchemyError, lambda error: answer(of_store(error)))
    app.register_error_handler(HTTPException, lambda error: answer(of_http(error)))
    app.register_error_handler(StackserveError, lambda error: answer(of_service(error)))
    app.register_error_handler(Exception, lambda error: answer(of_internal(error)))
