"""The JSON representation of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from production_server.jobs.records import Job, Share


class JobBody(BaseModel):
    """One job."""

    model_config = ConfigDict(extra="forbid")

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"] = Field(
        description="failed: a chunk failed; the result has the other answers and the reasons"
    )
    model: str
    version: str = Field(description="the version that predicts all rows of this job")
    rows: int
    rows_done: int
    rows_failed: int
    chunks: int
    chunks_done: int
    chunks_failed: int
    progress: float = Field(ge=0, le=1, description="share of the rows that are done or failed")
    rows_per_second: float | None
    seconds_left: float | None = Field(description="estimated from the rate so far")
    created: datetime
    started: datetime | None
    finished: datetime | None
    warnings: list[dict[str, Any]] = Field(
        description="values outside their plausible range, counted by field"
    )
    ignored_columns: list[str]
    request_id: str | None = Field(description="X-Request-Id of the request that created the job")
    links: dict[str, str]


class WorkerShare(BaseModel):
    """What the workers of one host have done of a job."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(description="name of the worker VM, or host name")
    chunks: int
    rows: int


class JobDetail(JobBody):
    """One job, and who worked on it."""

    workers: list[WorkerShare] = Field(description="chunks and rows that each host returned")


class JobList(BaseModel):
    """A page of jobs, newest first."""

    model_config = ConfigDict(extra="forbid")

    jobs: list[JobBody]
    next: str | None = Field(description="address of the next page; null on the last page")


# The fields that are copied from the store; times become dates.
COPIED = JobBody.model_fields.keys() & Job.__dataclass_fields__.keys()


def job_body(job: Job, now: float) -> JobBody:
    """The body that describes a job."""
    settled = job.rows_done + job.rows_failed
    seconds = (job.finished or now) - job.started if job.started else 0.0
    rate = settled / seconds if seconds > 0 and settled else None
    here = f"/jobs/{job.id}"
    links = {"self": here}
    if job.state in ("done", "failed"):
        links |= {"result_csv": f"{here}/result?format=csv"}
        links |= {"result_json": f"{here}/result?format=json"}
    return JobBody(
        **{name: getattr(job, name) for name in COPIED},
        model=job.answer["model"],
        progress=round(settled / job.rows, 4) if job.rows else 0.0,
        rows_per_second=round(rate, 1) if rate else None,
        seconds_left=round((job.rows - settled) / rate, 1) if rate and job.active else None,
        ignored_columns=job.ignored,
        links=links,
    )


def job_detail(job: Job, shares: list[Share], now: float) -> JobDetail:
    """The body of a job with the work of each host."""
    workers = [WorkerShare(**vars(share)) for share in shares]
    return JobDetail(**vars(job_body(job, now)), workers=workers)
