"""run-task: one task through the queue, for inspection."""

from __future__ import annotations

import json

import click

from production_server.errors import DataError, SettingsError
from production_server.settings import load_settings


@click.command("run-task")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--broker", help="Its URL.  [default: STACKSERVE_BROKER_URL]")
def run_task(values: tuple[str, ...], broker: str | None) -> None:
    """Send one task through the queue and show what comes back.

    Features that are not given take their defaults. On a server, run it with the service's
    settings: set -a; . /etc/stackserve/server.env
    """
    from production_server.run_task import run_task as run
    from production_server.web.problems import Problem

    settings = load_settings(broker_url=broker)
    if settings.embedded:
        raise SettingsError(
            "no broker: an in-memory queue is seen by its own process only",
            "Start with --services and give --broker amqp://... or STACKSERVE_BROKER_URL.",
        )
    given = dict(value.partition("=")[::2] for value in values)
    try:
        click.echo(json.dumps(run(settings, given), indent=2))
    except Problem as problem:
        raise DataError(problem.detail, problem.remedy) from problem
