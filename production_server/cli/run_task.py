"""run-task: sends one task through the queue, to look inside a running service."""

from __future__ import annotations

import json

import click

from production_server.errors import DataError, SettingsError
from production_server.settings import load_settings


@click.command("run-task")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--broker", metavar="URL", help="Broker.  [default: STACKSERVE_BROKER_URL]")
def run_task(values: tuple[str, ...], broker: str | None) -> None:
    """Send one task through the queue and show its result.

    Features without a value use their defaults. On a server, load the service's settings first:
    set -a; . /etc/stackserve/server.env
    """
    from production_server.run_task import run_task as run
    from production_server.web.problems import Problem

    settings = load_settings(broker_url=broker)
    if settings.embedded:
        raise SettingsError(
            "no broker is set, and the in-memory queue exists only inside its own process",
            "Serve with --services, and set --broker amqp://... or STACKSERVE_BROKER_URL.",
        )
    given = dict(value.partition("=")[::2] for value in values)
    try:
        click.echo(json.dumps(run(settings, given), indent=2))
    except Problem as problem:
        raise DataError(problem.detail, problem.remedy) from problem
