"""GET /rollout compares the version on trial with the active one; POST /outcomes adds the truth."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from production_server.errors import RegistryError
from production_server.jobs.counting import OUTCOMES
from production_server.model.activations import Version
from production_server.model.card import Card, explain
from production_server.web.comparison import comparison
from production_server.web.openapi_parts import (
    json_answer,
    json_content,
    operation,
    responses,
)
from production_server.web.operations import as_json
from production_server.web.problems import Problem
from production_server.web.services import Services

MOST_OUTCOMES = 10_000


class Outcome(BaseModel):
    """What a version predicted, and what turned out to be true."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Version
    predicted: str | float = Field(description="a label, or a value of a regression")
    outcome: str | float


OUTCOMES_BODY: TypeAdapter[list[Outcome]] = TypeAdapter(list[Outcome])


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("rollout", __name__)

    @routes.get("/rollout")
    def rollout() -> Response:
        trial = services.pinned.trial
        in_use = trial.pinned.version if trial else None
        told = comparison(services.registry, services.store, in_use)
        return as_json(told, headers={"Cache-Control": "no-store"})

    @routes.post("/outcomes")
    def outcomes() -> Response:
        found = _read(request.get_data())
        cards = {version: _card(services, version) for version in {one.version for one in found}}
        counts = count(found, cards)
        for version, amounts in counts.items():
            services.store.count(OUTCOMES, version, amounts)
        return as_json({"counted": len(found)})

    return routes


def count(found: list[Outcome], cards: dict[str, Card]) -> dict[str, dict[str, float]]:
    """The outcomes as amounts by version. No value of a person is kept."""
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for number, one in enumerate(found):
        output = cards[one.version].output
        amounts = counts[one.version]
        if output.probabilities:
            for name in ("predicted", "outcome"):
                if getattr(one, name) not in output.labels:
                    labels = ", ".join(output.labels)
                    raise _invalid(f"{number}.{name}: it must be one of {labels}")
            amounts["outcomes"] += 1
            amounts["right"] += one.predicted == one.outcome
            continue
        if isinstance(one.predicted, str) or isinstance(one.outcome, str):
            raise _invalid(f"{number}: {one.version} predicts values, so both must be numbers")
        error = one.predicted - one.outcome
        if not math.isfinite(error * error):
            raise _invalid(f"{number}: both must be finite numbers")
        amounts["outcomes"] += 1
        amounts["errors"] += abs(error)
        amounts["squares"] += error * error
    return counts


def _read(body: bytes) -> list[Outcome]:
    try:
        found = OUTCOMES_BODY.validate_json(body)
    except ValidationError as error:
        raise _invalid(explain(error)) from None
    if not 0 < len(found) <= MOST_OUTCOMES:
        raise _invalid(f"the list has {len(found)} outcomes, not 1 to {MOST_OUTCOMES}")
    return found


def _card(services: Services, version: str) -> Card:
    try:
        return services.registry.card(version)
    except RegistryError as error:
        raise Problem(404, "version_not_found", str(error), error.remedy) from error


def _invalid(detail: str) -> Problem:
    return Problem(
        422,
        "invalid_outcomes",
        detail,
        'Send a list: [{"version": "...", "predicted": ..., "outcome": ...}]. Nothing was counted.',
    )


def openapi_paths() -> dict[str, Any]:
    """The OpenAPI description of the routes above."""
    one = Outcome.model_json_schema()
    body = {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_OUTCOMES}
    store_down = {503: "The job store is unavailable; try again after Retry-After"}
    return {
        "/rollout": {
            "get": operation(
                "rollout",
                "Compare the version on trial with the active one",
                responses({200: json_answer("Both versions, and a verdict")}, store_down),
            )
        },
        "/outcomes": {
            "post": operation(
                "outcomes",
                "Add what turned out to be true, for the accuracy of each version",
                responses(
                    {200: json_answer("How many were counted")},
                    {
                        404: "There is no such version",
                        413: "The body has too many bytes",
                        422: "The body is not a list of outcomes, or a label is unknown",
                        **store_down,
                    },
                ),
                body=json_content(body),
            )
        },
    }
