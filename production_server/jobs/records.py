"""The data that goes in and out of the store: jobs, chunks and outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from production_server.errors import KeyReused, QueueFull

ACTIVE = ("queued", "running")
FINISHED = ("done", "failed", "cancelled")
STATES = ("receiving", *ACTIVE, *FINISHED)

# A chunk that was delivered this often without an outcome is assumed to kill its worker. RabbitMQ
# counts the redeliveries of a quorum queue: every requeue up to 4.2, and from 4.3 only those after
# a lost channel or a reject, which are the ones that matter here.
MOST_DELIVERIES = 3


@dataclass(frozen=True)
class Job:
    """A job's row in the store."""

    id: str
    state: str
    version: str
    answer: dict[str, Any]
    idempotency_key: str | None
    body_hash: str | None
    body_bytes: int
    rows: int
    rows_done: int
    rows_failed: int
    chunks: int
    chunks_done: int
    chunks_failed: int
    warnings: list[dict[str, Any]]
    ignored: list[str]
    created: float
    touched: float
    started: float | None
    finished: float | None
    bytes: int
    owner: str | None
    request_id: str | None

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True)
class Receipt:
    """The columns of a job that are known once its whole upload has arrived."""

    rows: int
    chunks: int
    idempotency_key: str | None
    body_hash: str
    body_bytes: int
    warnings: list[dict[str, Any]]
    ignored: list[str]


@dataclass(frozen=True)
class Outcome:
    """What a worker returned for a chunk: outputs or an error, and the host that it runs on."""

    outputs: bytes | None = None
    error: str | None = None
    worker: str | None = None


@dataclass(frozen=True)
class Payload:
    """A chunk as it is sent to a worker."""

    job: str
    number: int
    version: str
    rows: bytes
    count: int
    request_id: str | None
    """Of the request that created the job."""


@dataclass(frozen=True)
class Part:
    """The result of one chunk."""

    number: int
    count: int
    outputs: bytes | None
    reason: str | None


@dataclass(frozen=True)
class Share:
    """What the workers of one host have done of a job."""

    host: str
    chunks: int
    rows: int


@dataclass(frozen=True)
class Usage:
    """Jobs by state, their bytes and the limit, and the deleted jobs and bytes by reason."""

    jobs: dict[str, int]
    bytes: int
    budget: int | None
    pruned: dict[str, tuple[int, int]]


def same_body(job: Job, body_hash: str) -> Job:
    """Return the job if it was made from this body; otherwise raise KeyReused."""
    if job.body_hash != body_hash:
        raise KeyReused(
            "idempotency_key_reused",
            "this Idempotency-Key was used before, with another body",
            "Send the same body again, or use a new key for a new job.",
        )
    return job


def queue_full(count: int) -> QueueFull:
    return QueueFull(
        "too_many_jobs",
        f"{count} jobs are queued or running, which is the limit",
        "Wait for some to finish (see Retry-After), or cancel one: DELETE /jobs/ID",
    )


def delivery_limit_error(deliveries: int) -> dict[str, Any] | None:
    """The outcome of a chunk that reached the delivery limit; None below it."""
    if deliveries < MOST_DELIVERIES:
        return None
    return {"error": f"the worker died each of the {deliveries} times that it got these rows"}
