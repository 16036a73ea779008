"""Sends one predict task through the queue and returns its result, to look inside a service.

Its command is: python3 -m production_server run-task glucose=148 bmi=33.6 ...
"""

from __future__ import annotations

import struct
import time
from typing import Any

from production_server.messaging.app import create_app
from production_server.messaging.lane import Lane
from production_server.messaging.names import PREDICT_QUEUE
from production_server.model.registry import Registry
from production_server.settings import Settings
from production_server.web.rows import RowSchema


def run_task(settings: Settings, values: dict[str, str]) -> dict[str, Any]:
    """Ask a worker for the prediction of one row. Missing features use their defaults."""
    registry = Registry(settings.registry_path)
    card = registry.card(registry.active())
    defaults = {feature.name: str(feature.default) for feature in card.features}
    rows = RowSchema(card, 1).from_texts({**defaults, **values})
    lane = Lane(create_app(settings), settings.deadline)
    lane.start()
    try:
        started = time.perf_counter()
        answer = lane.ask(card.version, rows.packed, rows.count)
        elapsed = time.perf_counter() - started
    finally:
        lane.stop()
    return {
        "queue": PREDICT_QUEUE,
        "row": dict(
            zip(
                card.feature_names,
                struct.unpack(f"<{len(card.features)}f", rows.packed),
                strict=True,
            )
        ),
        "version": answer.version,
        "prediction": card.output.prediction(answer.rows()[0]),
        "inference_seconds": answer.seconds,
        "seconds": elapsed,
    }
