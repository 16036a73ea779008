"""Routes for those who run the service: is it alive, is it ready, which models, how good."""

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
from production_server.web.endpoints import JSON, json_answer, operation, responses, text_answer
from production_server.web.services import Services

READY_DEADLINE = 3.0
NOT_ASKED = {"ok": False, "reason": "not asked, for want of a broker"}
LIBRARIES = ("celery", "flask", "jax", "keras", "numpy", "uvicorn")


def as_json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, content_type=JSON)


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("operations", __name__)

    @routes.get("/ping")
    def ping() -> Response:
        return Response("pong\n", content_type="text/plain; charset=utf-8")

    @routes.get("/alive")
    def alive() -> Response:
        return as_json(alive_body(services))

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

    def as_object(name: str, summary: str, more: dict[int, Any] | None = None) -> dict[str, Any]:
        answers = responses({200: json_answer(summary), **(more or {})})
        return {"get": operation(name, summary, answers)}

    def as_text(name: str, summary: str) -> dict[str, Any]:
        return {"get": operation(name, summary, responses({200: text_answer(summary)}))}

    not_ready = {503: json_answer("Some part does not answer; the body says which")}
    return {
        "/accuracy": as_object("accuracy", "How good the model is on held-out rows"),
        "/models": as_object("models", "The versions in the registry"),
        "/alive": as_object("alive", "The process, its memory, model and versions"),
        "/ready": as_object("ready", "Broker, worker and store answer", not_ready),
        "/ping": as_text("ping", "pong"),
        "/metrics": as_text("metrics", "Counters for Prometheus"),
    }


def alive_body(services: Services) -> dict[str, Any]:
    process = psutil.Process()
    return {
        "alive": True,
        "code_hash": services.settings.code_hash,
        "pid": os.getpid(),
        "memory_mb": round(process.memory_info().rss / 1e6, 1),
        "uptime_seconds": round(time.time() - services.started, 1),
        **services.summary(),
        "workers": [{"models": versions} for versions in services.models.loaded_by_workers(0.3)],
        "versions": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in LIBRARIES},
        },
    }


def readiness(services: Services) -> dict[str, dict[str, Any]]:
    """Ask each part a real question: broker and worker by a prediction, the store by a read."""
    connected = services.lane.connected
    # Without a broker the question would only wait for its deadline.
    worker = _asked(lambda: _predict_default(services)) if connected else NOT_ASKED
    return {
        "broker": {"ok": connected},
        "worker": worker,
        "store": _asked(services.store.counts),
    }


def _predict_default(services: Services) -> None:
    pinned = services.pinned
    rows = pinned.schema.from_values([services.default_row()])
    services.lane.ask(pinned.version, rows.packed, rows.count, READY_DEADLINE)


def _asked(question: Any) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        question()
    except (StackserveError, SQLAlchemyError) as error:
        return {"ok": False, "reason": str(error)}
    return {"ok": True, "seconds": round(time.perf_counter() - started, 4)}
