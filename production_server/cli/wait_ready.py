"""wait-ready: waits until a prediction comes back through the queue."""

from __future__ import annotations

import click

from production_server.local.readiness import local_url, wait_until_ready
from production_server.settings import load_settings


@click.command("wait-ready")
@click.option(
    "--url", help="Address of the service.  [default: from STACKSERVE_HOST and STACKSERVE_PORT]"
)
@click.option("--timeout", default=120.0, show_default=True, help="Timeout in seconds.")
def wait_ready(url: str | None, timeout: float) -> None:
    """Wait for a prediction to come back through the queue, or report what is missing."""
    settings = load_settings()
    ready = wait_until_ready(url or local_url(settings.host, settings.port), timeout)
    if ready:
        click.echo(f"ready: model {ready['version']}")
