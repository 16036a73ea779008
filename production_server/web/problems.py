"""Errors of the HTTP API: application/problem+json (RFC 9457) with a stable code and a remedy."""

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
    QueueBlocked,
    QueueError,
    QueueFull,
    RowsRefused,
    StackserveError,
    StoreFull,
    UploadMalformed,
    UploadTooLarge,
)
from production_server.jobs.space import is_full, store_full
from production_server.web.request_ids import current_id

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# The Retry-After of errors about jobs and their store.
RETRY_SECONDS = 10
JOB_STATUS = {
    UploadMalformed: 400,
    UploadTooLarge: 413,
    KeyReused: 409,
    QueueFull: 429,
    StoreFull: 507,
}


class FieldProblem(BaseModel):
    """What is wrong with one value."""

    model_config = ConfigDict(extra="forbid")

    row: int | None = Field(None, description="row of the request, counted from 0")
    line: int | None = Field(None, description="line of the uploaded CSV, counted from 1")
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
    code: str = Field(description="stable identifier of the kind of error")
    detail: str
    remedy: str
    request_id: str | None = Field(None, description="the same as in the header X-Request-Id")
    errors: list[FieldProblem] = []


class Problem(Exception):
    """An error, with everything its response needs."""

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

    def body(self, request_id: str | None = None) -> bytes:
        fields: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "remedy": self.remedy,
            **self.more,
        }
        if request_id:
            fields["request_id"] = request_id
        if self.errors:
            fields["errors"] = [error.model_dump(exclude_none=True) for error in self.errors]
        return orjson.dumps(fields)


def of_queue(error: QueueError) -> Problem:
    """The queue gave no answer."""
    blocked = isinstance(error, QueueBlocked)
    code, seconds = ("queue_blocked", RETRY_SECONDS) if blocked else ("queue_unavailable", 2)
    return Problem(503, code, str(error), error.remedy, headers={"Retry-After": str(seconds)})


def of_service(error: StackserveError) -> Problem:
    """A part of the service failed."""
    return Problem(503, "unavailable", str(error), error.remedy, headers={"Retry-After": "5"})


def of_job(error: JobError) -> Problem:
    """A job or upload is refused."""
    detail = f"{str(error)[:1].upper()}{str(error)[1:]}."
    if isinstance(error, RowsRefused):
        more: dict[str, object] = {"errors": error.errors, "error_count": error.count}
        return Problem(422, error.code, detail, error.remedy, more=more)
    headers = (
        {"Retry-After": str(RETRY_SECONDS)} if isinstance(error, QueueFull | StoreFull) else {}
    )
    return Problem(JOB_STATUS[type(error)], error.code, detail, error.remedy, headers=headers)


def of_store(error: SQLAlchemyError) -> Problem:
    """The database is locked, full or down."""
    if is_full(error):
        log.error("the disk of the job store is full: %s", error.args[0])
        return of_job(store_full("the disk of the jobs' database is full"))
    log.error("the job store failed", exc_info=error)
    return Problem(
        503,
        "store_unavailable",
        "The job store is unavailable.",
        "Try again later. On the server, check whether the disk is full or the database is down.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def of_http(error: HTTPException) -> Problem:
    """An error that Flask found: 404, 405, 413 and so on."""
    status = error.code or 500
    remedies = {
        404: "See /openapi.json for the available routes.",
        405: "See the Allow header and /openapi.json.",
        413: "Send a smaller body, or use POST /jobs for large tables.",
        415: "Send application/json, or text/csv for jobs.",
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
    log.error("unexpected error in request %s", current_id(), exc_info=error)
    return internal_error()


def internal_error() -> Problem:
    return Problem(
        500, "internal_error", "An internal error occurred.", "See the server's log for the cause."
    )


def answer(problem: Problem) -> Response:
    body = problem.body(current_id())
    return Response(body, problem.status, problem.headers, content_type=MEDIA_TYPE)


def install(app: Flask) -> None:
    """Make Flask answer every error as a problem."""
    app.register_error_handler(Problem, answer)
    app.register_error_handler(QueueError, lambda error: answer(of_queue(error)))
    app.register_error_handler(JobError, lambda error: answer(of_job(error)))
    app.register_error_handler(SQLAlchemyError, lambda error: answer(of_store(error)))
    app.register_error_handler(HTTPException, lambda error: answer(of_http(error)))
    app.register_error_handler(StackserveError, lambda error: answer(of_service(error)))
    app.register_error_handler(Exception, lambda error: answer(of_internal(error)))
