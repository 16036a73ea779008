"""Routes for operators: liveness, readiness, accuracy and metrics."""

from __future__ import annotations

import logging
import os
import platform
import time
from importlib.metadata import version as library_version
from typing import Any

import orjson
import psutil
from flask import Blueprint, Response
from sqlalchemy.exc import SQLAlchemyError

from production_server.errors import QueueError, StackserveError, StoreError
from production_server.messaging.alarms import blocked_error
from production_server.messaging.batches import CHECK_BROKER, NO_BROKER
from production_server.messaging.workers import WorkerState
from production_server.web.access import current
from production_server.web.openapi_parts import JSON, json_answer, operation, responses, text_answer
from production_server.web.problems import Problem
from production_server.web.recent import Recent
from production_server.web.services import Services
from production_server.web.version_metrics import VersionMetrics

log = logging.getLogger(__name__)

READY_DEADLINE = 3.0
ALIVE_SECONDS = 1.0
NOT_CHECKED = {"ok": False, "reason": "not checked, because the broker failed its check"}
LIBRARIES = ("celery", "flask", "jax", "keras", "numpy", "uvicorn")


def as_json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, content_type=JSON)


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("operations", __name__)
    # Every worker answers this question, so anonymous clients must not ask it at will.
    worker_states = Recent(ALIVE_SECONDS, lambda: services.workers.states(0.3))

    @routes.get("/ping")
    def ping() -> Response:
        return Response("pong\n", content_type="text/plain; charset=utf-8")

    @routes.get("/alive")
    def alive() -> Response:
        body = public_body(services)
        if current().operates:
            body |= details(services, worker_states())
        return as_json(body)

    @routes.get("/ready")
    def ready() -> Response:
        checks = readiness(services)
        body: dict[str, Any] = services.summary()
        if current().operates:
            body["checks"] = checks
        if not all(check["ok"] for check in checks.values()):
            raise not_ready(checks, body)
        return as_json({"ready": True, **body})

    @routes.get("/accuracy")
    def accuracy() -> Response:
        metrics = services.card().metrics
        body = metrics.model_dump(mode="json") if metrics else None
        return as_json({**services.summary(), "metrics": body})

    @routes.get("/metrics")
    def metrics() -> Response:
        bins = services.inputs.bins_for(services.card())
        versions = VersionMetrics(services.registry, services.store)
        text, kind = services.metrics.text(services.store.usage, bins, versions)
        return Response(text, content_type=kind)

    return routes


def openapi_paths() -> dict[str, Any]:
    """The routes above for the OpenAPI document."""

    def get(
        name: str, summary: str, answer: dict[str, Any], problems: dict[int, str] | None = None
    ) -> dict[str, Any]:
        return {"get": operation(name, summary, responses({200: answer}, problems))}

    return {
        "/accuracy": get(
            "accuracy",
            "Get the model's scores on rows it was not trained on",
            json_answer("The scores"),
        ),
        "/alive": get(
            "alive",
            "Check that the process runs",
            json_answer("Memory, model, library versions, code hash and workers"),
        ),
        "/ready": get(
            "ready",
            "Check broker, worker and store",
            json_answer("All checks passed"),
            {503: "A check failed; `checks` says which, and `remedy` what to do"},
        ),
        "/ping": get("ping", "Answer pong", text_answer("pong")),
        "/metrics": get("metrics", "Get metrics for Prometheus", text_answer("The metrics")),
    }


def public_body(services: Services) -> dict[str, Any]:
    """What everybody may know of the process."""
    return {"alive": True, "code_hash": services.settings.code_hash, **services.summary()}


def details(services: Services, workers: list[WorkerState]) -> dict[str, Any]:
    """What operators may know as well."""
    process = psutil.Process()
    return {
        "pid": os.getpid(),
        "memory_mb": round(process.memory_info().rss / 1e6, 1),
        "uptime_seconds": round(time.time() - services.started, 1),
        "broker_alarm": services.lane.alarm or None,
        "workers": workers,
        "versions": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in LIBRARIES},
        },
    }


def readiness(services: Services) -> dict[str, dict[str, Any]]:
    """Check each part by using it: broker and worker by a prediction, the store by a read."""
    lane = services.lane
    broker: dict[str, Any] = {"ok": True}
    worker: dict[str, Any] = NOT_CHECKED
    if not lane.connected:
        # The prediction would only time out.
        broker = _failed(QueueError(NO_BROKER, CHECK_BROKER))
    else:
        worker = _check(lambda: _predict_default(services))
        # This process may have learned of the alarm by that prediction.
        if lane.alarm:
            broker, worker = _failed(blocked_error(lane.alarm)), NOT_CHECKED
    return {"broker": broker, "worker": worker, "store": _check(services.store.counts)}


def not_ready(checks: dict[str, dict[str, Any]], body: dict[str, Any]) -> Problem:
    """The checks that failed, and what to do about the first of them."""
    failed = {
        part: check
        for part, check in checks.items()
        if not check["ok"] and check is not NOT_CHECKED
    }
    return Problem(
        503,
        "not_ready",
        "; ".join(f"{part}: {check['reason']}" for part, check in failed.items()),
        next(iter(failed.values()))["remedy"],
        headers={"Retry-After": "2"},
        more={"ready": False, **body},
    )


def _predict_default(services: Services) -> None:
    pinned = services.pinned
    rows = pinned.schema.from_values([services.default_row()])
    services.lane.ask(pinned.version, rows.packed, rows.count, READY_DEADLINE)


def _check(call: Any) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        call()
    except (StackserveError, SQLAlchemyError) as error:
        return _failed(error)
    return {"ok": True, "seconds": round(time.perf_counter() - started, 4)}


def _failed(error: StackserveError | SQLAlchemyError) -> dict[str, Any]:
    if isinstance(error, SQLAlchemyError):
        # Its own text has the statement and the database's address.
        log.error("the job store failed its check", exc_info=error)
        error = StoreError("the job store is unavailable", "See the server's log.")
    return {"ok": False, "reason": str(error), "remedy": error.remedy or "See the server's log."}
