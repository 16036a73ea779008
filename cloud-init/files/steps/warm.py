"""The model is whole, loads and answers.

Run with the service's own Python and under its account, this also leaves the compiled model and
the compiled bytecode where the services find them, while RabbitMQ is still being installed.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import numpy as np

from production_server.model import compiled, compiling, kerasfiles
from production_server.model.registry import SHIPPED, Registry

PROCESSES = (
    "production_server.web.server",
    "production_server.web.app",
    "production_server.worker.process",
    "production_server.jobs.recorder",
)

delivered = Registry(SHIPPED)
for version in delivered.versions():
    delivered.checked_model_path(version)
registry = Registry(Path(os.environ["STACKSERVE_HOME"]) / "models")
registry.seed()
active = registry.active()
folder = compiled.own_folder(registry.path / compiled.FOLDER)
if folder and kerasfiles.backend() == "jax":
    # Here, where there is one processor to spare, rather than in a process beside this one.
    compiling.main(registry, active, folder / compiled.file_name(registry.card(active)))
predictor = compiled.load(registry, active)
row = np.array([[feature.default for feature in predictor.card.features]], dtype=np.float32)
answer = predictor.predict(row)
if not np.isfinite(answer).all():
    raise SystemExit(f"error: the model {active} answers {answer.tolist()} to its default values")
if sys.argv[1] == "image":
    # Elsewhere the services, which start next, do that themselves.
    for module in PROCESSES:
        importlib.import_module(module)
print(f"{active} answers {answer.round(4).tolist()} to its default values")
