"""GET /operations: the page for operators, its data as JSON, and the parts that its events update.

The server writes each part of the page, at the first request and for each event alike. So the page
works without JavaScript, as a picture of one moment.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, render_template
from flask.blueprints import BlueprintSetupState
from flask.sansio.app import App

from production_server.live import words
from production_server.live.hub import Hub, Parts
from production_server.web import charts
from production_server.web.board import Board
from production_server.web.openapi_parts import (
    ANY_OBJECT,
    json_content,
    operation,
    responses,
    text_answer,
    text_content,
)
from production_server.web.operations import as_json
from production_server.web.pages import wants_json
from production_server.web.services import Services

PARTS = ("troubles", "traffic", "workers", "models", "inputs", "jobs", "events")


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("operations_page", __name__, template_folder="templates")
    board = Board(services)

    for show in (words.rate, words.took, words.clock, words.compared):
        routes.add_app_template_filter(show)

    @routes.record
    def offer_events(setup: BlueprintSetupState) -> None:
        app = setup.app
        app.extensions[Hub.__name__] = Hub(lambda: parts(app, board.look()))

    @routes.get("/operations")
    def operations() -> Response:
        seen = board.look()
        if wants_json():
            response = as_json(seen)
        else:
            shown = parts(current_app, seen)
            response = Response(render_template("operations.html", parts=shown))
        response.vary.add("Accept")
        return response

    return routes


def parts(app: App, seen: dict[str, Any]) -> Parts:
    """The parts of the page that change, as HTML."""
    pieces = app.jinja_env.get_template("operations_parts.html").module
    seen = {**seen, "chart": charts.timeline(seen["history"])}
    shown = {name: str(getattr(pieces, name)(seen)) for name in PARTS}
    return {**shown, "time": seen["time"][11:19]}


def openapi_paths() -> dict[str, Any]:
    """The OpenAPI description of the page and its events."""
    content = text_content("text/html") | json_content(ANY_OBJECT)
    seen = {"description": "The page, or its data as JSON", "content": content}
    full = {429: "Too many people watch; try again after Retry-After"}
    return {
        "/operations": {
            "get": operation(
                "operations", "Get what the service does at this time", responses({200: seen})
            )
        },
        "/operations/events": {
            "get": operation(
                "operations_events",
                "Follow the operations page, an event a second",
                responses({200: text_answer("The parts that changed", "text/event-stream")}, full),
            )
        },
    }
