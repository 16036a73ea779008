"""What the store gives and takes: jobs, chunks, outcomes; and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from production_server.errors import KeyReused, QueueFull

ACTIVE = ("queued", "running")
FINISHED = ("done", "failed", "cancelled")
STATES = ("receiving", *ACTIVE, *FINISHED)

# A chunk that was handed out this often and never finished is taken to kill its worker.
# RabbitMQ counts in a quorum queue's messages (absent at first): 3.8 to 4.2 every return of the
# message, from 4.3 on only those by a lost channel or a reject, which is what is meant here.
MOST_DELIVERIES = 3


@dataclass(frozen=True)
class Job:
    """A job as the store knows it."""

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

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True)
class Receipt:
    """What is known of an upload when its last byte has arrived; named as the job's columns."""

    rows: int
    chunks: int
    idempotency_key: str | None
    body_hash: str
    body_bytes: int
    warnings: list[dict[str, Any]]
    ignored: list[str]


@dataclass(frozen=True)
class Outcome:
    """What came back for a chunk: outputs, or the reason why there are none."""

    outputs: bytes | None = None
    error: str | None = None


@dataclass(frozen=True)
class Payload:
    """A chunk as it travels to a worker."""

    job: str
    number: int
    version: str
    rows: bytes
    count: int


@dataclass(frozen=True)
class Part:
    """A chunk of a job's result."""

    number: int
    count: int
    outputs: bytes | None
    reason: str | None


def same_body(job: Job, body_hash: str) -> Job:
    """The job, if it was made from this very body; else KeyReused."""
    if job.body_hash != body_hash:
        raise KeyReused(
            "idempotency_key_reused",
            f"this Idempotency-Key belongs to job {job.id}, made from another body",
            "Send the same body again, or use a new key for a new job.",
        )
    return job


def too_many(found: int) -> QueueFull:
    return QueueFull(
        "too_many_jobs",
        f"{found} jobs are queued or running, and that is the limit",
        "Wait until some are done (Retry-After says when to look), or cancel one: DELETE /jobs/ID",
    )


def verdict(deliveries: int) -> dict[str, Any] | None:
    """The outcome of a chunk that is not to be tried again."""
    if deliveries < MOST_DELIVERIES:
        return None
    return {"error": f"it was given to a worker {deliveries} times and each time the worker died"}
