"""web, worker, recorder, trainer, proxy: the processes that systemd and `serve --services` run."""

from __future__ import annotations

import click

from production_server.backup.restore import finish_interrupted
from production_server.settings import Settings, load_settings, set_up_logging


def _prepare() -> Settings:
    settings = load_settings()
    set_up_logging(settings.log_level)
    finish_interrupted(settings)
    return settings


@click.command()
@click.option("--listeners", hidden=True)
@click.option("--ready", type=int, hidden=True)
def web(listeners: str | None, ready: int | None) -> None:
    """Run the web tier, with STACKSERVE_WEB_PROCESSES processes."""
    settings = _prepare()
    from production_server.web.run import run_web
    from production_server.web.succession import Inheritance

    # A successor gets them from the process before it.
    inherited = (
        Inheritance([int(one) for one in listeners.split(",")], ready)
        if listeners is not None and ready is not None
        else None
    )
    run_web(settings, inherited)


@click.command()
@click.option("--number", default=1, show_default=True, help="Number of the worker, for its name.")
def worker(number: int) -> None:
    """Run one worker. It loads and warms the model, then takes tasks."""
    settings = _prepare()
    from production_server.worker.process import run_worker

    run_worker(settings, number)


@click.command()
def recorder() -> None:
    """Run the recorder, which sends the jobs' chunks and stores their results."""
    settings = _prepare()
    from production_server.jobs.process import run_recorder

    run_recorder(settings)


@click.command()
def trainer() -> None:
    """Run the trainer, which trains models and checks uploaded ones at the lowest priority."""
    settings = _prepare()
    from production_server.trainer.process import run_trainer

    run_trainer(settings)


@click.command()
def proxy() -> None:
    """Run the TLS proxy, nginx, in front of the web tier."""
    settings = load_settings()
    set_up_logging(settings.log_level)
    from production_server.proxy.process import run_proxy

    run_proxy(settings)
