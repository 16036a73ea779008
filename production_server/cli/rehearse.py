"""rehearse: lets this code prove that it can serve, without touching the service that runs."""

from __future__ import annotations

import importlib

import click

from production_server.errors import ModelError
from production_server.settings import load_settings

PROCESSES = (
    "production_server.web.run",
    "production_server.web.app",
    "production_server.worker.process",
    "production_server.jobs.process",
)


@click.command()
def rehearse() -> None:
    """Prove that this code starts and predicts, beside a service that runs.

    Imports everything that serves, and predicts one row with the active model.
    """
    settings = load_settings()
    for module in PROCESSES:
        importlib.import_module(module)
    import numpy as np

    from production_server.model import machine_code
    from production_server.model.registry import Registry

    registry = Registry(settings.registry_path)
    active = registry.active()
    predictor = machine_code.load(registry, active)
    row = np.array([[one.default for one in predictor.card.features]], dtype=np.float32)
    if not np.isfinite(predictor.predict(row)).all():
        raise ModelError(f"the model {active} does not answer its default values with numbers")
    click.echo(f"{active} answers")
