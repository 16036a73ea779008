"""The model is whole, loads and answers; the services' modules can be imported.

Run with the service's own Python and under its account, this also leaves the compiled bytecode
and the compiled model where the services find them, while RabbitMQ is still being installed.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import numpy as np

from production_server.model import compiled
from production_server.model.registry import SHIPPED, Registry

PROCESSES = (
    "production_server.web.server",
    "production_server.web.app",
    "production_server.messaging.worker",
    "production_server.jobs.recorder",
)

delivered = Registry(SHIPPED)
for version in delivered.versions():
    delivered.checked_model_path(version)
registry = Registry(Path(os.environ["STACKSERVE_HOME"]) / "models")
registry.seed()
active = registry.active()
predictor = compiled.load(registry, active)
predictor.warm()
row = np.array([[feature.default for feature in predictor.card.features]], dtype=np.float32)
answer = predictor.predict(row)
if not np.isfinite(answer).all():
    raise SystemExit(f"error: the model {active} answers {answer.tolist()} to its default values")
for module in PROCESSES:
    importlib.import_module(module)
print(f"{active} answers {answer.round(4).tolist()} to its default values")
