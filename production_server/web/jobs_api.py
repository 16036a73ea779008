"""The routes of jobs: many rows in one upload, answered later.

POST /jobs, GET /jobs, GET /jobs/ID, GET /jobs/ID/result, DELETE /jobs/ID.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ClientDisconnected

from production_server.errors import (
    JobError,
    KeyReused,
    QueueFull,
    RowsRefused,
    UploadMalformed,
    UploadTooLarge,
)
from production_server.jobs import results
from production_server.jobs.acceptance import Upload, accept
from production_server.jobs.intake import Body, Limits, Media
from production_server.jobs.records import Job
from production_server.jobs.store import Store
from production_server.web.jobs_schema import JobList, job_body, openapi_paths
from production_server.web.problems import MEDIA_TYPE, Problem
from production_server.web.services import Services

__all__ = ["blueprint", "openapi_paths"]

log = logging.getLogger(__name__)

JSON = "application/json"
MEDIA: dict[str, Media] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/vnd.ms-excel": "csv",  # what Windows browsers call a .csv file
    JSON: "json",
}
# An upload holds a thread of this process; some must be left for the pages.
MOST_UPLOADS = 8
LONGEST_KEY = 255
PAGE, LARGEST_PAGE = 50, 500
RETRY_SECONDS = 10
# Set by the front when the client went away: a body without a length just seems to end there.
DISCONNECTED = "stackserve.disconnected"
STATUS = {UploadMalformed: 400, UploadTooLarge: 413, KeyReused: 409, QueueFull: 429}


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("jobs", __name__)
    store = services.store
    settings = services.settings
    limits = Limits(settings.max_job_rows, settings.max_body_bytes, settings.chunk_rows)
    uploads = threading.BoundedSemaphore(MOST_UPLOADS)

    @routes.errorhandler(JobError)
    def refused(error: JobError) -> Response:
        return _answer(of_job(error))

    @routes.errorhandler(SQLAlchemyError)
    def unavailable(error: SQLAlchemyError) -> Response:
        log.error("the store does not answer", exc_info=error)
        return _answer(of_store(error))

    @routes.post("/jobs")
    def create() -> Response:
        upload = upload_of(settings.max_body_bytes)
        with _turn(uploads):
            job = accept(store, upload, services.card(), limits, settings.max_queued_jobs)
        return _job_response(job, 202 if job.active else 200)

    @routes.get("/jobs")
    def listing() -> Response:
        limit = _whole_number("limit", PAGE, LARGEST_PAGE)
        jobs = store.page(limit, request.args.get("before"))
        follows = f"/jobs?limit={limit}&before={jobs[-1].id}" if len(jobs) == limit else None
        now = time.time()
        body = JobList(jobs=[job_body(job, now) for job in jobs], next=follows)
        return Response(body.model_dump_json(), content_type=JSON)

    @routes.get("/jobs/<job_id>")
    def show(job_id: str) -> Response:
        return _job_response(_found(store, job_id), 200)

    @routes.get("/jobs/<job_id>/result")
    def result(job_id: str) -> Response:
        job = _found(store, job_id)
        check_ready(job)
        kind = _result_format()
        lines = results.as_csv(store, job) if kind == "csv" else results.as_json(store, job)
        media = "text/csv; charset=utf-8" if kind == "csv" else JSON
        name = f'attachment; filename="predictions-{job.id}.{kind}"'
        return Response(lines, content_type=media, headers={"Content-Disposition": name})

    @routes.delete("/jobs/<job_id>")
    def delete(job_id: str) -> Response:
        keep = _flag("keep_result")
        _found(store, job_id)
        # A job may finish between somebody's look at it and this call.
        if store.cancel(job_id) or keep:
            return _job_response(_found(store, job_id), 200)
        store.remove(job_id)
        return Response(status=204)

    return routes


def upload_of(most_bytes: int) -> Upload:
    """The request in hand as an upload; its body is not read yet."""
    media = MEDIA.get(request.mimetype)
    if media is None:
        raise Problem(
            415,
            "unsupported_media_type",
            f"{request.mimetype or 'a body without a Content-Type'} is not read here.",
            "Send Content-Type: text/csv or application/json.",
        )
    if request.content_encoding:
        raise Problem(
            415,
            "unsupported_content_encoding",
            f"Content-Encoding: {request.content_encoding} is not read here.",
            "Send the body as it is, not compressed.",
        )
    if (request.content_length or 0) > most_bytes:
        raise of_job(
            UploadTooLarge(
                "body_too_large",
                f"the body is larger than {most_bytes} bytes",
                "Split the file, or have STACKSERVE_MAX_BODY_BYTES raised.",
            )
        )
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise Problem(
            400,
            "invalid_idempotency_key",
            "The Idempotency-Key is empty, too long or holds unprintable signs.",
            f"Send 1 to {LONGEST_KEY} printable signs, a UUID for example.",
        )
    ignore = _flag("ignore_unknown")
    return Upload(
        body=Body(cast(BinaryIO, _Stream()), most_bytes, media, str(ignore)),
        media=media,
        key=key,
        ignore_unknown=ignore,
    )


class _Stream:
    """The request's body, which ends in an error if the client went away before its end."""

    def __init__(self) -> None:
        # A body of unknown length has no stream in werkzeug unless the server vouches for its end.
        self._source = (
            request.stream if request.content_length is not None else request.environ["wsgi.input"]
        )
        self._scope = request.environ.get("asgi.scope", {})

    def read(self, size: int) -> bytes:
        try:
            piece: bytes = self._source.read(size)
        except ClientDisconnected:
            raise _broken() from None
        if not piece and self._scope.get(DISCONNECTED):
            raise _broken()
        return piece


def _broken() -> UploadMalformed:
    return UploadMalformed(
        "incomplete_body", "the body ended too early", "Send it again; nothing of it was kept."
    )


def check_ready(job: Job) -> None:
    """Raise a Problem if the job has no result (yet)."""
    if job.active:
        raise Problem(
            409,
            "job_not_finished",
            f"The job is {job.state}: {job.chunks_done + job.chunks_failed} of {job.chunks} "
            "chunks are done.",
            f"Ask GET /jobs/{job.id} until its state is done or failed.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    if job.state == "cancelled":
        raise Problem(
            410, "job_cancelled", "The job was cancelled and has no result.", "Send a new job."
        )


@contextmanager
def _turn(uploads: threading.BoundedSemaphore) -> Iterator[None]:
    if not uploads.acquire(blocking=False):
        raise Problem(
            429,
            "too_many_uploads",
            f"{MOST_UPLOADS} uploads are under way in this process.",
            "Send the file again in a moment.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    try:
        yield
    finally:
        uploads.release()


def of_store(_error: SQLAlchemyError) -> Problem:
    """The database is locked, full or away."""
    return Problem(
        503,
        "store_unavailable",
        "The store of the jobs does not answer.",
        "Try again; on the server, look whether its disk is full or its database is down.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def of_job(error: JobError) -> Problem:
    detail = f"{str(error)[:1].upper()}{str(error)[1:]}."
    if isinstance(error, RowsRefused):
        more: dict[str, object] = {"errors": error.errors, "error_count": error.count}
        return Problem(422, error.code, detail, error.remedy, more=more)
    headers = {"Retry-After": str(RETRY_SECONDS)} if isinstance(error, QueueFull) else {}
    return Problem(STATUS[type(error)], error.code, detail, error.remedy, headers=headers)


def _found(store: Store, job_id: str) -> Job:
    job = store.get(job_id)
    if job is None:
        raise Problem(
            404,
            "job_not_found",
            f"There is no job {job_id[:40]}.",
            "GET /jobs lists the jobs; finished ones are removed after a while.",
        )
    return job


def _job_response(job: Job, status: int) -> Response:
    headers = {"Location": f"/jobs/{job.id}"} if request.method == "POST" else {}
    if job.active:
        headers["Retry-After"] = "1"
    body = job_body(job, time.time()).model_dump_json()
    return Response(body, status, headers, content_type=JSON)


def _result_format() -> str:
    asked = request.args.get("format")
    if asked is None:
        best = request.accept_mimetypes.best_match(["text/csv", JSON], default="text/csv")
        return "json" if best == JSON else "csv"
    if asked not in ("csv", "json"):
        raise _bad_parameter("format", asked, "csv or json")
    return asked


def _whole_number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise _bad_parameter(name, text, f"a number from 1 to {most}")
    return int(text)


def _flag(name: str) -> bool:
    text = request.args.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise _bad_parameter(name, text, "true or false")
    return text in ("true", "1")


def _answer(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers, content_type=MEDIA_TYPE)


def _bad_parameter(name: str, value: str, wanted: str) -> Problem:
    return Problem(
        400, "invalid_parameter", f"{name}={value[:40]} is not understood.", f"Give {wanted}."
    )
