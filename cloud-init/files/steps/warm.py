"""Check that the model is intact, loads and answers.

This runs with the service's Python and under its account, while RabbitMQ is being installed. So it
also leaves the compiled model and bytecode where the services find them.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import numpy as np

from production_server.model import compiler, kerasfiles, machine_code
from production_server.model.registry import SHIPPED, Registry

PROCESSES = (
    "production_server.web.run",
    "production_server.web.app",
    "production_server.worker.process",
    "production_server.jobs.process",
)

delivered = Registry(SHIPPED)
for version in delivered.versions():
    delivered.checked_model_path(version)
registry = Registry(Path(os.environ["STACKSERVE_HOME"]) / "models")
registry.seed()
active = registry.active()
folder = machine_code.private_folder(registry.path / machine_code.FOLDER)
if folder and kerasfiles.backend() == "jax":
    # In this process, because there is only one processor to spare.
    compiler.compile_to(folder / machine_code.file_name(registry.card(active)), registry, active)
predictor = machine_code.load(registry, active)
row = np.array([[feature.default for feature in predictor.card.features]], dtype=np.float32)
answer = predictor.predict(row)
if not np.isfinite(answer).all():
    raise SystemExit(f"error: the model {active} answers {answer.tolist()} to its default values")
if sys.argv[1] == "image":
    # Elsewhere the services start next and do this themselves.
    for module in PROCESSES:
        importlib.import_module(module)
print(f"{active} answers {answer.round(4).tolist()} to its default values")
