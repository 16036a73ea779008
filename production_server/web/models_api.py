"""The routes of the registry: list, upload, activate and delete versions.

An upload is checked by the trainer, because this process never loads Keras.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any

from flask import Blueprint, Response

from production_server.model import rollout
from production_server.model.card import Card, is_version
from production_server.model.incoming import MOST_BYTES, is_part
from production_server.trainer.runs import SENT, Kind, Outcome, Request, Run, Runs
from production_server.web import audit
from production_server.web.access import current
from production_server.web.openapi_parts import (
    ANY_OBJECT,
    Schema,
    json_answer,
    operation,
    query_parameter,
    responses,
)
from production_server.web.operations import as_json
from production_server.web.parameters import flag, invalid_parameter, share
from production_server.web.problems import RETRY_SECONDS, Problem
from production_server.web.sent_files import FORM, save
from production_server.web.services import Services
from production_server.web.shares import Places
from production_server.web.uploads import limited

# Each waits for its check, in a thread, and takes up to MOST_BYTES on the disk.
MOST_UPLOADS = 4
CHECK_SECONDS = 240.0
LOOK_SECONDS = 0.1
STATUS = {
    "features": HTTPStatus.CONFLICT,
    "output": HTTPStatus.CONFLICT,
    "worse": HTTPStatus.CONFLICT,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "killed": HTTPStatus.SERVICE_UNAVAILABLE,
    "too_long": HTTPStatus.SERVICE_UNAVAILABLE,
}


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("models", __name__)
    registry, runs = services.registry, services.runs
    uploads = Places(MOST_UPLOADS)

    @routes.get("/models")
    def listing() -> Response:
        versions = [summary(registry.card(name)) for name in registry.versions()]
        pinned = services.pinned.version
        return as_json({"active": registry.active(), "in_force": pinned, "versions": versions})

    @routes.post("/models")
    def upload() -> Response:
        activate, canary, shadow = flag("activate"), share("canary"), flag("shadow")
        if sum((activate, canary is not None, shadow)) > 1:
            raise invalid_parameter("activate", "true", "one of activate, canary and shadow")
        force = flag("force")
        check_attended(runs)
        with limited(uploads), runs.draft() as draft:
            save(draft / SENT, MOST_BYTES, "sent", _named)
            who = current().owner or current().name
            asked = Request(
                kind=Kind.RECEIVE,
                created=time.time(),
                who=who,
                activate=activate,
                canary=canary,
                shadow=shadow,
                force=force,
            )
            run = runs.submit(draft, asked)
            outcome = _wait(runs, run)
        if outcome.code:
            raise refused(outcome)
        audit.note("model.add", version=outcome.version, sha256=_digest(outcome.version))
        if activate:
            audit.note("model.activate", version=outcome.version)
        if shadow or canary is not None:
            audit.note("model.trial", version=outcome.version)
        body = summary(registry.card(outcome.version)) | {"notes": outcome.notes} | state()
        return as_json(body, 201, {"Location": "/models"})

    @routes.post("/models/<version>/activate")
    def activate(version: str) -> Response:
        check_known(version)
        registry.activate(version)
        audit.note("model.activate", version=version)
        return as_json(summary(registry.card(version)) | state())

    @routes.delete("/models/<version>")
    def delete(version: str) -> Response:
        check_known(version)
        if version in (registry.active(), services.pinned.version):
            raise Problem(
                409,
                "version_in_use",
                f"{version} is active, or was until now.",
                "Activate another version first, and wait until it is in force.",
            )
        trial = rollout.candidate(registry)
        if trial is not None and trial.version == version:
            raise Problem(
                409,
                "version_in_use",
                f"{version} is on trial.",
                "Promote or withdraw it first.",
            )
        needing = services.store.unfinished(version)
        if needing:
            raise Problem(
                409,
                "version_needed",
                f"{len(needing)} unfinished jobs need {version}.",
                "Wait for them to finish, or cancel them: DELETE /jobs/ID.",
            )
        registry.delete(version)
        audit.note("model.delete", version=version)
        return Response(status=204)

    def state() -> dict[str, Any]:
        return {"active": registry.active(), "in_force": services.pinned.version}

    def check_known(version: str) -> None:
        if not is_version(version) or version not in registry.versions():
            raise Problem(
                404,
                "unknown_version",
                f"There is no version {version[:80]}.",
                "GET /models lists the versions.",
            )

    def _digest(version: str) -> str:
        return registry.card(version).model_sha256

    return routes


def summary(card: Card) -> dict[str, Any]:
    """A version in the list."""
    metrics = card.metrics
    measured = ("accuracy", "roc_auc", "rmse", "rows_test")
    return {
        "version": card.version,
        "model": card.name,
        "kind": card.kind,
        "target": card.target,
        "created": card.created,
        "features": card.feature_names,
        **{name: getattr(metrics, name) if metrics else None for name in measured},
        "model_sha256": card.model_sha256,
    }


def check_attended(runs: Runs) -> None:
    """Raise a Problem if no trainer runs, which would do the work."""
    if not runs.attended():
        raise Problem(
            503,
            "no_trainer",
            "The trainer does not run, so nothing can be trained or checked now.",
            "Start it on the server: python3 -m production_server trainer.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )


def _wait(runs: Runs, run: Run) -> Outcome:
    """How the check ended. The run is removed then, with its files."""
    until = time.monotonic() + CHECK_SECONDS
    while (now := runs.get(run.id)) is not None and now.active:
        if time.monotonic() > until:
            now.cancel()
            raise Problem(
                503,
                "check_timeout",
                f"The model was not checked within {CHECK_SECONDS:.0f} s.",
                "Try again when the server is less busy. GET /models tells whether it was added.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        time.sleep(LOOK_SECONDS)
    if now is None or now.standing.outcome is None:
        return Outcome(code="killed", reason="the check was cancelled", remedy="Send it again.")
    runs.remove(now)
    return now.standing.outcome


def refused(outcome: Outcome) -> Problem:
    """What the gate said."""
    reason = f"{outcome.reason[:1].upper()}{outcome.reason[1:]}."
    headers = {}
    status = STATUS.get(outcome.code, HTTPStatus.UNPROCESSABLE_ENTITY)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_SECONDS)
    remedy = outcome.remedy.replace("--force", "?force=true")
    return Problem(int(status), f"model_{outcome.code}", reason, remedy, headers=headers)


def _named(_field: str, name: str) -> str | None:
    suffix = PurePosixPath(name).suffix.lower()
    return name if is_part(name) or suffix == ".tar" else None


def openapi_paths() -> dict[str, Any]:
    """The OpenAPI description of the routes above."""
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
    unknown = {404: "There is no such version"}
    binary: Schema = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": {"type": "array", "items": binary}}}
    body = {
        "application/octet-stream": {"schema": binary},
        "application/x-tar": {"schema": binary},
        FORM: {"schema": form},
    }
    busy = {503: "The trainer does not run, or could not check it; try again after Retry-After"}
    return {
        "/models": {
            "get": operation(
                "models",
                "List the versions in the registry",
                responses({200: json_answer("The versions, and the one in use")}),
            ),
            "post": operation(
                "add_model",
                "Add a version: a .tar, a .keras or an .h5 file, or several files as a form",
                responses(
                    {201: json_answer("The version", ANY_OBJECT)},
                    {
                        400: "The body is empty or incomplete, or a parameter is invalid",
                        409: "Worse than the active version, or with other features or classes",
                        411: "A form has no Content-Length",
                        413: "The body is too large",
                        415: "The body is compressed",
                        422: "The model is damaged, or not what its card says",
                        429: "Too many uploads; try again after Retry-After",
                        **busy,
                    },
                ),
                parameters=[
                    query_parameter("activate", {"type": "boolean"}, "serve it from now on"),
                    query_parameter(
                        "canary",
                        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                        "let it answer this share of the requests",
                    ),
                    query_parameter("shadow", {"type": "boolean"}, "send it a copy of requests"),
                    query_parameter("force", {"type": "boolean"}, "accept worse metrics"),
                ],
                body=body,
            ),
        },
        "/models/{version}": {
            "parameters": [version],
            "delete": operation(
                "delete_model",
                "Delete a version that is not in use",
                responses(
                    {204: {"description": "The version was deleted"}},
                    {409: "It is in use, or unfinished jobs need it", **unknown, **busy},
                ),
            ),
        },
        "/models/{version}/activate": {
            "parameters": [version],
            "post": operation(
                "activate_model",
                "Serve a version from now on",
                responses({200: json_answer("The version")}, {**unknown, **busy}),
            ),
        },
    }
