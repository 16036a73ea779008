"""The Flask application, and the ASGI application in front of it."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from production_server.settings import Settings
from production_server.web import (
    access,
    jobs_api,
    models_api,
    openapi,
    operations,
    operations_page,
    pages,
    problems,
    rollout_api,
    sign_in,
    training_api,
)
from production_server.web.front import UNKNOWN, Front
from production_server.web.request_ids import current_id
from production_server.web.services import Services

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, forms of our own pages would be sent with `Origin: null`.
    "Referrer-Policy": "same-origin",
}


def create_flask(services: Services) -> Flask:
    """Every route except /predict, which is in front.py. openapi.py documents the same modules."""
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_body_bytes
    problems.install(app)
    for module in (
        pages,
        jobs_api,
        models_api,
        training_api,
        rollout_api,
        operations,
        operations_page,
        openapi,
    ):
        app.register_blueprint(module.blueprint(services))
    app.register_blueprint(sign_in.blueprint(services.access))

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()

    access.install(app, services.access)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        if request.path.startswith(("/jobs", "/operations")):
            # Jobs and their results are about persons: no cache may keep them.
            response.headers.setdefault("Cache-Control", "no-store")
        route = request.url_rule.rule if request.url_rule else UNKNOWN
        metrics = services.metrics
        metrics.requests.labels(route, str(response.status_code)).inc()
        seconds = time.perf_counter() - g.started
        metrics.seconds.labels(route).observe(seconds)
        services.requests.note(
            request_id=current_id(),
            method=request.method,
            route=route,
            status=response.status_code,
            caller=g.get("caller"),
            address=request.remote_addr,
            seconds=seconds,
        )
        return response

    return app


def create_front(settings: Settings) -> Front:
    services = Services(settings)
    return Front(services, create_flask(services))
