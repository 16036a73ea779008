"""Routes for operators: liveness, readiness, models, accuracy and metrics."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version as library_version
from typing import Any

import orjson
import psutil
from flask import Blueprint, Response
from sqlalchemy.exc import SQLAlchemyError

from production_server.errors import StackserveError
from production_server.web.openapi_parts import JSON, json_answer, operation, responses, text_answer
from production_server.web.recent import Recent
from production_server.web.services import Services

READY_DEADLINE = 3.0
ALIVE_SECONDS = 1.0
NOT_CHECKED = {"ok": False, "reason": "not checked: the broker is not connected"}
LIBRARIES = ("celery", "flask", "jax", "keras", "numpy", "uvicorn")


def as_json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, content_type=JSON)


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("operations", __name__)
    # Every worker answers this question, so anonymous clients must not ask it at will.
    versions_loaded = Recent(ALIVE_SECONDS, lambda: services.models.loaded_by_workers(0.3))

    @routes.get("/ping")
    def ping() -> Response:
        return Response("pong\n", content_type="text/plain; charset=utf-8")

    @routes.get("/alive")
    def alive() -> Response:
        return as_json(alive_body(services, versions_loaded()))

    @routes.get("/ready")
    def ready() -> Response:
        checks = readiness(services)
        good = all(check["ok"] for check in checks.values())
        body = {"ready": good, **services.summary(), "checks": checks}
        return as_json(body, 200 if good else 503, None if good else {"Retry-After": "2"})

    @routes.get("/models")
    def models() -> Response:
        registry = services.registry
        versions = [
            {
                "version": name,
                "model": (card := registry.card(name)).name,
                "kind": card.kind,
                "target": card.target,
                "created": card.created,
                "accuracy": card.metrics.accuracy if card.metrics else None,
                "roc_auc": card.metrics.roc_auc if card.metrics else None,
                "model_sha256": card.model_sha256,
            }
            for name in registry.versions()
        ]
        pinned = services.pinned.version
        return as_json({"active": registry.active(), "in_force": pinned, "versions": versions})

    @routes.get("/accuracy")
    def accuracy() -> Response:
        metrics = services.card().metrics
        body = metrics.model_dump(mode="json") if metrics else None
        return as_json({**services.summary(), "metrics": body})

    @routes.get("/metrics")
    def metrics() -> Response:
        text, kind = services.metrics.text(services.store.counts)
        return Response(text, content_type=kind)

    return routes


def openapi_paths() -> dict[str, Any]:
    """The routes above for the OpenAPI document."""

    def get(name: str, summary: str, *answers: dict[str, Any]) -> dict[str, Any]:
        by_status = dict(zip((200, 503), answers, strict=False))
        return {"get": operation(name, summary, responses(by_status))}

    return {
        "/accuracy": get(
            "accuracy",
            "Get the model's scores on rows it was not trained on",
            json_answer("The scores"),
        ),
        "/models": get(
            "models",
            "List the versions in the registry",
            json_answer("The versions, and the one in use"),
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
            json_answer("A check failed; the body says which"),
        ),
        "/ping": get("ping", "Answer pong", text_answer("pong")),
        "/metrics": get("metrics", "Get metrics for Prometheus", text_answer("The metrics")),
    }


def alive_body(services: Services, loaded: list[list[str]]) -> dict[str, Any]:
    process = psutil.Process()
    return {
        "alive": True,
        "code_hash": services.settings.code_hash,
        "pid": os.getpid(),
        "memory_mb": round(process.memory_info().rss / 1e6, 1),
        "uptime_seconds": round(time.time() - services.started, 1),
        **services.summary(),
        "workers": [{"models": versions} for versions in loaded],
        "versions": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in LIBRARIES},
        },
    }


def readiness(services: Services) -> dict[str, dict[str, Any]]:
    """Check each part by using it: broker and worker by a prediction, the store by a read."""
    connected = services.lane.connected
    # Without a broker, the prediction would only time out.
    worker = _check(lambda: _predict_default(services)) if connected else NOT_CHECKED
    return {
        "broker": {"ok": connected},
        "worker": worker,
        "store": _check(services.store.counts),
    }


def _predict_default(services: Services) -> None:
    pinned = services.pinned
    rows = pinned.schema.from_values([services.default_row()])
    services.lane.ask(pinned.version, rows.packed, rows.count, READY_DEADLINE)


def _check(call: Any) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        call()
    except (StackserveError, SQLAlchemyError) as error:
        return {"ok": False, "reason": str(error)}
    return {"ok": True, "seconds": round(time.perf_counter() - started, 4)}
