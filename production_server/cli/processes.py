"""web, worker, recorder: the processes of a server, as systemd or `serve --services` runs them."""

from __future__ import annotations

import click

from production_server.settings import Settings, load_settings, set_up_logging


def _begin() -> Settings:
    settings = load_settings()
    set_up_logging(settings.log_level)
    return settings


@click.command()
def web() -> None:
    """Run the web tier: as many processes as STACKSERVE_WEB_PROCESSES says."""
    settings = _begin()
    from production_server.web.run import run_web

    run_web(settings)


@click.command()
@click.option("--number", default=1, show_default=True, help="Which worker of this machine it is.")
def worker(number: int) -> None:
    """Run one worker: it loads and warms the model, then takes tasks."""
    settings = _begin()
    from production_server.worker.process import run_worker

    run_worker(settings, number)


@click.command()
def recorder() -> None:
    """Run the recorder: it sends the jobs' chunks and writes their results to the store."""
    settings = _begin()
    from production_server.jobs.recorder import run_recorder

    run_recorder(settings)
