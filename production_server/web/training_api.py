"""The routes of training: start, follow and cancel runs. The trainer carries them out."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from flask import Blueprint, Response, render_template, request

from production_server.errors import StackserveError
from production_server.model.card import NAME_PATTERN
from production_server.model.dataset import check_start
from production_server.trainer.description import described
from production_server.trainer.runs import SENT, Kind, Request, Run
from production_server.web import audit, charts
from production_server.web.access import current
from production_server.web.models_api import check_attended
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
from production_server.web.operations import as_json
from production_server.web.parameters import flag, invalid_parameter
from production_server.web.problems import RETRY_SECONDS, Problem
from production_server.web.sent_files import FORM, save
from production_server.web.services import Services
from production_server.web.shares import Places
from production_server.web.uploads import limited

MOST_UPLOADS = 4
# A million rows of eight values. All of it is held in memory while the model is trained.
MOST_BYTES = 64 << 20
MOST_QUEUED = 10
MOST_SEED = 2**31 - 1
# The curves of these are on the page.
SHOWN = 5
DATA = "data.csv"
FEATURES = (".toml", ".json")


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("training", __name__, template_folder="templates")
    runs = services.runs
    uploads = Places(MOST_UPLOADS)

    def found(run_id: str) -> Run:
        run = runs.get(run_id)
        if run is None or run.request.kind is not Kind.TRAIN:
            raise Problem(
                404,
                "unknown_training",
                f"There is no training {run_id[:40]}.",
                "GET /training lists them. Old ones are deleted.",
            )
        return run

    @routes.post("/training")
    def create() -> Response:
        asked = _asked()
        check_attended(runs)
        _check_type()
        if runs.unfinished(Kind.TRAIN) >= MOST_QUEUED:
            raise Problem(
                429,
                "too_many_trainings",
                f"{MOST_QUEUED} trainings wait already.",
                "Wait for one to finish, or cancel one: DELETE /training/ID.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        with limited(uploads), runs.draft() as draft:
            save(draft / SENT, MOST_BYTES, DATA, _named)
            if not (draft / SENT / DATA).exists():
                raise Problem(
                    400, "no_data", "The form has no table.", "Send it as a .csv file, or as data."
                )
            _check_table(draft / SENT, asked.name, services)
            run = runs.submit(draft, asked)
        audit.note("training.create", training=run.id)
        return as_json(body_of(run), 202, {"Location": f"/training/{run.id}"})

    @routes.get("/training")
    def listing() -> Response:
        known = runs.all(Kind.TRAIN)
        bodies = [body_of(run) for run in known]
        # Programs often accept anything; browsers name HTML.
        best = request.accept_mimetypes.best_match([JSON, "text/html"])
        if best != "text/html":
            response = as_json({"trainings": bodies, "trainer": runs.attended()})
        else:
            drawn = [curve(run) for run in known[:SHOWN]]
            response = Response(
                render_template(
                    "training.html",
                    trainings=bodies,
                    curves=drawn,
                    attended=runs.attended(),
                    running=any(run.active for run in known),
                    card=services.card(),
                )
            )
        response.vary.add("Accept")
        response.headers["Cache-Control"] = "no-store"
        return response

    @routes.get("/training/<run_id>")
    def show(run_id: str) -> Response:
        run = found(run_id)
        return as_json(body_of(run), headers={"Cache-Control": "no-store"})

    @routes.delete("/training/<run_id>")
    def delete(run_id: str) -> Response:
        run = found(run_id)
        if run.active:
            run.cancel()
            audit.note("training.cancel", training=run.id)
            return as_json(body_of(found(run_id)))
        runs.remove(run)
        audit.note("training.delete", training=run.id)
        return Response(status=204)

    return routes


def _check_table(sent: Path, name: str, services: Services) -> None:
    """Raise a Problem if the table or its description cannot be right. Its rows are read later."""
    try:
        check_start(sent / DATA, described(sent, name, services.registry))
    except StackserveError as error:
        reason = str(error).replace(f"{sent}/", "")
        raise Problem(422, "invalid_table", f"{reason}.", error.remedy) from error


def body_of(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    standing, progress, outcome = run.standing, run.progress, run.standing.outcome
    return {
        "id": run.id,
        "state": standing.state,
        "cancelling": run.cancelled and run.active,
        "created": _time(run.request.created),
        "started": _time(standing.started),
        "finished": _time(standing.finished),
        "attempts": standing.attempts,
        "who": run.request.who,
        "name": run.request.name or None,
        "seed": run.request.seed,
        "activate": run.request.activate,
        "phase": progress.phase,
        "epochs": progress.epochs,
        "most_epochs": progress.most_epochs,
        "loss": progress.loss,
        "val_loss": progress.val_loss,
        "version": outcome.version or None if outcome else None,
        "notes": outcome.notes if outcome else [],
        "code": outcome.code or None if outcome else None,
        "reason": outcome.reason or None if outcome else None,
        "remedy": outcome.remedy or None if outcome else None,
    }


def curve(run: Run) -> Any:
    """The loss after each epoch, as a chart; None before the second one."""
    progress = run.progress
    if len(progress.loss) < 2:
        return None
    return charts.loss_chart(progress.loss, progress.val_loss)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _asked() -> Request:
    """The options of a training, from the query."""
    name, seed = request.args.get("name", ""), request.args.get("seed", "7")
    if name and (len(name) > 64 or not re.fullmatch(NAME_PATTERN, name)):
        raise invalid_parameter("name", name, "lowercase letters, digits, - and _")
    if not (seed.isascii() and seed.isdigit() and int(seed[:10]) <= MOST_SEED and len(seed) < 11):
        raise invalid_parameter("seed", seed, f"a number from 0 to {MOST_SEED}")
    return Request(
        kind=Kind.TRAIN,
        created=time.time(),
        who=current().owner or current().name,
        name=name,
        seed=int(seed),
        activate=flag("activate"),
        force=flag("force"),
    )


def _check_type() -> None:
    if request.mimetype not in ("text/csv", "application/csv", FORM):
        raise Problem(
            415,
            "unsupported_media_type",
            f"{request.mimetype or 'A body without a Content-Type'} is not supported.",
            "Send the table as text/csv, or table and features file as multipart/form-data.",
        )


def _named(field: str, name: str) -> str | None:
    suffix = PurePosixPath(name).suffix.lower()
    if field == "data" or suffix == ".csv":
        return DATA
    return f"features{suffix}" if suffix in FEATURES else None


def openapi_paths() -> dict[str, Any]:
    """The OpenAPI description of the routes above."""
    run_id = {"name": "run_id", "in": "path", "required": True, "schema": {"type": "string"}}
    unknown = {404: "There is no such training"}
    one = json_answer("The training: its state, its losses so far, and how it ended")
    file: Schema = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "required": ["data"],
        "properties": {"data": file, "features": file},
    }
    seed = {"type": "integer", "minimum": 0, "maximum": MOST_SEED}
    page = {
        "description": "The page, or its data as JSON",
        "content": text_content("text/html") | json_content(ANY_OBJECT),
    }
    return {
        "/training": {
            "get": operation("list_trainings", "List the trainings", responses({200: page})),
            "post": operation(
                "create_training",
                "Train a binary classifier on a table with known outcomes, in the background",
                responses(
                    {202: one},
                    {
                        400: "The body is empty or incomplete, or a parameter is invalid",
                        411: "A form has no Content-Length",
                        413: "The table is too large",
                        415: "The body is neither CSV nor a form",
                        422: "The table has other columns, or the features file is not valid",
                        429: "Too many trainings or uploads; try again after Retry-After",
                        503: "The trainer does not run; try again after Retry-After",
                    },
                ),
                parameters=[
                    query_parameter(
                        "name",
                        {"type": "string", "pattern": NAME_PATTERN, "maxLength": 64},
                        "name of the model; by default that of the active one",
                    ),
                    query_parameter("seed", seed, "seed of all random numbers"),
                    query_parameter("activate", {"type": "boolean"}, "serve the result"),
                    query_parameter("force", {"type": "boolean"}, "keep it even if it is worse"),
                ],
                body=text_content("text/csv") | {FORM: {"schema": form}},
            ),
        },
        "/training/{run_id}": {
            "parameters": [run_id],
            "get": operation("get_training", "Follow a training", responses({200: one}, unknown)),
            "delete": operation(
                "delete_training",
                "Cancel an unfinished training, or delete a finished one",
                responses(
                    {
                        200: json_answer("The training, which ends soon"),
                        204: {"description": "The training was deleted; its version stays"},
                    },
                    unknown,
                ),
            ),
        },
    }
