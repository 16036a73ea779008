"""How jobs look over HTTP: the bodies, and their part of the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from production_server.jobs.records import Job

JSON = "application/json"
Schema = dict[str, Any]


class JobBody(BaseModel):
    """One job."""

    model_config = ConfigDict(extra="forbid")

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"] = Field(
        description="failed: some chunk failed; the result holds the rest and the reasons"
    )
    model: str
    version: str = Field(description="the version that answers all rows of this job")
    rows: int
    rows_done: int
    rows_failed: int
    chunks: int
    chunks_done: int
    chunks_failed: int
    progress: float = Field(ge=0, le=1, description="share of the rows that is settled")
    rows_per_second: float | None
    seconds_left: float | None = Field(description="at the rate so far")
    created: datetime
    started: datetime | None
    finished: datetime | None
    warnings: list[Schema] = Field(description="values out of plausible ranges, counted by field")
    ignored_columns: list[str]
    links: dict[str, str]


class JobList(BaseModel):
    """A page of jobs, newest first."""

    model_config = ConfigDict(extra="forbid")

    jobs: list[JobBody]
    next: str | None = Field(description="where the next page is; null on the last one")


# What the API tells as the store keeps it; times become dates on the way.
AS_KEPT = JobBody.model_fields.keys() & Job.__dataclass_fields__.keys()


def job_body(job: Job, now: float) -> JobBody:
    """A job as the API tells it."""
    settled = job.rows_done + job.rows_failed
    seconds = (job.finished or now) - job.started if job.started else 0.0
    rate = settled / seconds if seconds > 0 and settled else None
    here = f"/jobs/{job.id}"
    links = {"self": here}
    if job.state in ("done", "failed"):
        links |= {"result_csv": f"{here}/result?format=csv"}
        links |= {"result_json": f"{here}/result?format=json"}
    return JobBody(
        **{name: getattr(job, name) for name in AS_KEPT},
        model=job.answer["model"],
        progress=round(settled / job.rows, 4) if job.rows else 0.0,
        rows_per_second=round(rate, 1) if rate else None,
        seconds_left=round((job.rows - settled) / rate, 1) if rate and job.active else None,
        ignored_columns=job.ignored,
        links=links,
    )


def openapi_paths() -> dict[str, Any]:
    """The routes of jobs for the OpenAPI document."""
    from production_server.web.openapi import json_answer, responses

    body = JobBody.model_json_schema()
    one = json_answer("The job", body)
    listing = JobList.model_json_schema()
    listing["properties"]["jobs"]["items"] = listing.pop("$defs")["JobBody"]
    csv = {"text/csv": {"schema": {"type": "string"}}}
    unknown = {404: "There is no such job"}
    job_id = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/jobs": {
            "post": {
                "operationId": "create_job",
                "summary": "Accept a table of rows, to be predicted in the background",
                "parameters": [
                    _query("ignore_unknown", {"type": "boolean"}, "leave out unknown columns"),
                    {
                        "name": "Idempotency-Key",
                        "in": "header",
                        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                        "description": "the same key and body give the same job again",
                    },
                ],
                "requestBody": {
                    "required": True,
                    "content": {**csv, JSON: {"schema": _rows()}},
                },
                "responses": responses(
                    {200: json_answer("The finished job of this key", body), 202: one},
                    {
                        400: "The body or a parameter cannot be read, or the body is incomplete",
                        409: "The Idempotency-Key belongs to another body",
                        413: "Too many rows or bytes for one job",
                        415: "Neither CSV nor JSON",
                        422: "Rows with wrong values: the first 20 problems, and their number",
                        429: "Too many jobs or uploads; try again after Retry-After",
                        503: "The store does not answer; try again after Retry-After",
                    },
                ),
            },
            "get": {
                "operationId": "list_jobs",
                "summary": "The jobs, newest first",
                "parameters": [
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "jobs"),
                    _query("before", {"type": "string"}, "id of the last job already seen"),
                ],
                "responses": responses(
                    {200: json_answer("A page of jobs", listing)}, {400: "A parameter is wrong"}
                ),
            },
        },
        "/jobs/{job_id}": {
            "parameters": [job_id],
            "get": {
                "operationId": "get_job",
                "summary": "How far a job is",
                "responses": responses({200: one}, unknown),
            },
            "delete": {
                "operationId": "delete_job",
                "summary": "Cancel an unfinished job, or remove a finished one",
                "parameters": [
                    _query("keep_result", {"type": "boolean"}, "only cancel: a finished job stays"),
                ],
                "responses": responses(
                    {
                        200: json_answer("Now cancelled, or finished already and kept", body),
                        204: {"description": "Gone"},
                    },
                    {400: "A parameter is wrong", **unknown},
                ),
            },
        },
        "/jobs/{job_id}/result": {
            "parameters": [job_id],
            "get": {
                "operationId": "get_job_result",
                "summary": "The answers, a line or object a row, in the order of the upload",
                "parameters": [
                    _query("format", {"enum": ["csv", "json"]}, "else by the Accept header"),
                ],
                "responses": responses(
                    {
                        200: {
                            "description": "The result",
                            "content": {**csv, JSON: {"schema": {"type": "object"}}},
                        }
                    },
                    {
                        400: "A parameter is wrong",
                        **unknown,
                        409: "The job is not finished; try again after Retry-After",
                        410: "The job was cancelled",
                    },
                ),
            },
        },
    }


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _rows() -> Schema:
    row = {"$ref": "#/components/schemas/JobRow"}
    values = {"type": "array", "items": {"type": "number"}}
    return {"type": "array", "minItems": 1, "items": {"anyOf": [row, values]}}
