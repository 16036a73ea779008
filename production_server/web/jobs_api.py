"""The routes of jobs, which predict large tables in the background.

POST /jobs, GET /jobs, GET /jobs/ID, GET /jobs/ID/result, DELETE /jobs/ID.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from flask import Blueprint, Response, request
from pydantic import BaseModel

from production_server.access.policy import own_key
from production_server.jobs import results
from production_server.jobs.acceptance import accept
from production_server.jobs.intake import Limits
from production_server.jobs.reader import ANYBODY
from production_server.jobs.records import Job
from production_server.web import audit
from production_server.web.access import current
from production_server.web.jobs_schema import JobBody, JobDetail, JobList, job_body, job_detail
from production_server.web.openapi_parts import (
    ANY_OBJECT,
    JSON,
    Schema,
    json_answer,
    json_content,
    operation,
    query_parameter,
    responses,
    text_content,
)
from production_server.web.parameters import flag, invalid_parameter, whole_number
from production_server.web.problems import RETRY_SECONDS, Problem
from production_server.web.services import Services
from production_server.web.shares import Places
from production_server.web.uploads import (
    LONGEST_KEY,
    MOST_UPLOADS,
    key_of_request,
    limited,
    upload_of,
)

PAGE, LARGEST_PAGE = 50, 500


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("jobs", __name__)
    store = services.store
    settings = services.settings
    access = services.access
    limits = Limits(settings.max_job_rows, settings.max_body_bytes, settings.chunk_rows)
    uploads = Places(MOST_UPLOADS)
    # Reading rows is work. If every thread did it at once, each would take its turn before the
    # event loop gets the next one.
    turn = threading.Lock()

    def found(job_id: str) -> Job:
        job = store.get(job_id)
        if job is None or not access.may_use(job.owner):
            raise not_found(job_id)
        return job

    def key_for(owner: str | None, key: str | None) -> str | None:
        known = store.with_key(key) if owner else None
        # A client has no cookie yet when it creates its first job, but has it when it repeats that.
        return key if known and known.owner == owner else own_key(owner, key)

    @routes.post("/jobs")
    def create() -> Response:
        key = key_for(current().owner, key_of_request())
        upload = upload_of(settings.max_body_bytes, turn, key, access.owner())
        with limited(uploads), turn:
            job = accept(store, upload, services.card(), limits, settings.max_queued_jobs)
        audit.note("job.create", who=job.owner, job=job.id, rows=job.rows)
        return _job_response(job, 202 if job.active else 200)

    @routes.get("/jobs")
    def listing() -> Response:
        limit = whole_number("limit", PAGE, LARGEST_PAGE)
        caller = current()
        whose = ANYBODY if caller.operates else caller.owner
        jobs = store.page(limit, request.args.get("before"), whose)
        follows = f"/jobs?limit={limit}&before={jobs[-1].id}" if len(jobs) == limit else None
        now = time.time()
        body = JobList(jobs=[job_body(job, now) for job in jobs], next=follows)
        return Response(body.model_dump_json(), content_type=JSON)

    @routes.get("/jobs/<job_id>")
    def show(job_id: str) -> Response:
        job = found(job_id)
        return _response(job, job_detail(job, store.shares(job_id), time.time()), 200)

    @routes.get("/jobs/<job_id>/result")
    def result(job_id: str) -> Response:
        job = found(job_id)
        check_ready(job)
        kind = _result_format()
        lines = results.as_csv(store, job) if kind == "csv" else results.as_json(store, job)
        media = "text/csv; charset=utf-8" if kind == "csv" else JSON
        name = f'attachment; filename="predictions-{job.id}.{kind}"'
        return Response(lines, content_type=media, headers={"Content-Disposition": name})

    @routes.delete("/jobs/<job_id>")
    def delete(job_id: str) -> Response:
        keep = flag("keep_result")
        found(job_id)
        # The job may have finished since the client last looked.
        cancelled = store.cancel(job_id)
        if cancelled:
            audit.note("job.cancel", job=job_id)
        if cancelled or keep:
            return _job_response(found(job_id), 200)
        store.remove(job_id)
        audit.note("job.delete", job=job_id)
        return Response(status=204)

    return routes


def openapi_paths() -> dict[str, Any]:
    """The OpenAPI description of the routes above."""
    body = JobBody.model_json_schema()
    one = json_answer("The job", body)
    detail = json_answer("The job, and what each host has done", _inlined(JobDetail, "workers"))
    listing = _inlined(JobList, "jobs")
    csv = text_content("text/csv")
    wrong_parameter = {400: "A parameter is invalid"}
    store_down = {503: "The job store is unavailable; try again after Retry-After"}
    unknown = {404: "There is no such job", **store_down}
    job_id = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
        "description": "the same key and body return the same job",
    }
    page_size = {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}
    return {
        "/jobs": {
            "post": operation(
                "create_job",
                "Create a job that predicts a table in the background",
                responses(
                    {
                        200: json_answer("The finished job with this Idempotency-Key", body),
                        202: one,
                    },
                    {
                        400: "The body or a parameter is malformed, or the body is incomplete",
                        409: "The Idempotency-Key was used with another body",
                        413: "Too many rows or bytes for one job",
                        415: "The body is neither CSV nor JSON",
                        422: "Invalid rows: the number of problems, and the first 20",
                        429: "Too many jobs or uploads; try again after Retry-After",
                        507: "There is no room for the job; delete jobs or try again later",
                        **store_down,
                    },
                ),
                parameters=[
                    query_parameter(
                        "ignore_unknown", {"type": "boolean"}, "ignore unknown columns"
                    ),
                    key,
                ],
                body=csv | json_content(_rows_schema()),
            ),
            "get": operation(
                "list_jobs",
                "List your jobs, newest first",
                responses(
                    {200: json_answer("A page of jobs", listing)}, {**wrong_parameter, **store_down}
                ),
                parameters=[
                    query_parameter("limit", page_size, "size of the page"),
                    query_parameter(
                        "before", {"type": "string"}, "ID of the last job on the previous page"
                    ),
                ],
            ),
        },
        "/jobs/{job_id}": {
            "parameters": [job_id],
            "get": operation("get_job", "Get a job's progress", responses({200: detail}, unknown)),
            "delete": operation(
                "delete_job",
                "Cancel an unfinished job, or delete a finished one",
                responses(
                    {
                        200: json_answer("The job, cancelled or kept", body),
                        204: {"description": "The job was deleted"},
                    },
                    {**wrong_parameter, **unknown},
                ),
                parameters=[
                    query_parameter(
                        "keep_result", {"type": "boolean"}, "do not delete a finished job"
                    ),
                ],
            ),
        },
        "/jobs/{job_id}/result": {
            "parameters": [job_id],
            "get": operation(
                "get_job_result",
                "Get a job's answers, in the order of the uploaded rows",
                responses(
                    {
                        200: {
                            "description": "One line or object per row",
                            "content": csv | json_content(ANY_OBJECT),
                        }
                    },
                    {
                        **wrong_parameter,
                        **unknown,
                        409: "The job is not finished; try again after Retry-After",
                        410: "The job was cancelled",
                    },
                ),
                parameters=[
                    query_parameter(
                        "format", {"enum": ["csv", "json"]}, "default: from the Accept header"
                    ),
                ],
            ),
        },
    }


def _inlined(model: type[BaseModel], name: str) -> Schema:
    """The model's schema, with the one of the items of its list `name` inside."""
    schema = model.model_json_schema()
    (schema["properties"][name]["items"],) = schema.pop("$defs").values()
    return schema


def _rows_schema() -> Schema:
    row = {"$ref": "#/components/schemas/JobRow"}
    values = {"type": "array", "items": {"type": "number"}}
    return {"type": "array", "minItems": 1, "items": {"anyOf": [row, values]}}


def check_ready(job: Job) -> None:
    """Raise a Problem if the job has no result, or none yet."""
    if job.active:
        raise Problem(
            409,
            "job_not_finished",
            f"The job is {job.state}: {job.chunks_done + job.chunks_failed} of {job.chunks} "
            "chunks are done.",
            f"Poll GET /jobs/{job.id} until its state is done or failed.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    if job.state == "cancelled":
        raise Problem(
            410, "job_cancelled", "The job was cancelled and has no result.", "Create a new job."
        )


def not_found(job_id: str) -> Problem:
    return Problem(
        404,
        "job_not_found",
        f"There is no job {job_id[:40]}.",
        "See GET /jobs for your jobs. Finished jobs are deleted after some days, or earlier to "
        "make room.",
    )


def _job_response(job: Job, status: int) -> Response:
    return _response(job, job_body(job, time.time()), status)


def _response(job: Job, body: JobBody, status: int) -> Response:
    headers = {"Location": f"/jobs/{job.id}"} if request.method == "POST" else {}
    if job.active:
        headers["Retry-After"] = "1"
    return Response(body.model_dump_json(), status, headers, content_type=JSON)


def _result_format() -> str:
    asked = request.args.get("format")
    if asked is None:
        best = request.accept_mimetypes.best_match(["text/csv", JSON], default="text/csv")
        return "json" if best == JSON else "csv"
    if asked not in ("csv", "json"):
        raise invalid_parameter("format", asked, "csv or json")
    return asked
