"""serve: runs the service on this machine, in one process or with --services in several."""

from __future__ import annotations

import socket

import click

from production_server.backup.restore import finish_interrupted
from production_server.errors import ServiceError
from production_server.local.console import Console
from production_server.settings import Settings, load_settings


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.  [default: 5100]")
@click.option("--services", is_flag=True, help="Run RabbitMQ and each part as its own process.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Worker processes, with --services.  [default: half the cores, at least 1 and at most 4]",
)
@click.option(
    "--tls",
    metavar="self|acme|CERT,KEY",
    help="Serve https://: with a certificate made here, a public one, or your own.",
)
def serve(
    host: str | None, port: int | None, services: bool, workers: int | None, tls: str | None
) -> None:
    """Serve on this machine until Ctrl-C.

    Without --services, everything runs in one process and needs no root and no RabbitMQ.
    """
    if workers and not services:
        raise click.UsageError("--workers requires --services: one process has one worker.")
    settings = load_settings(host=host, port=port, workers=workers, tls=tls)
    check_port(settings.host, settings.port)
    finish_interrupted(settings)
    console = Console()
    if settings.tls is None:
        _serve(settings, console, services)
        return
    from production_server.local.tls import proxied

    with proxied(settings, console) as behind:
        _serve(behind, console, services)


def _serve(settings: Settings, console: Console, services: bool) -> None:
    if services:
        from production_server.local.services import serve_services

        serve_services(settings, console)
    else:
        from production_server.local.embedded import serve_embedded

        serve_embedded(settings, console)


def check_port(host: str, port: int) -> None:
    """Fail now, before loading the model, if the port is in use."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ServiceError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            "Choose another with --port or --host, or stop the program that uses it.",
        ) from error
