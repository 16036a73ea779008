"""deploy: from credentials to an address that answers; without credentials, serve here."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from openstack_client.cli import serve_here
from openstack_client.cli.errors import edge
from openstack_client.cli.options import cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, find_source, open_session
from openstack_client.cloud.credentials import Source
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.run import Launch, Options, Result
from openstack_client.errors import SettingsError
from openstack_client.places import COMMAND
from openstack_client.settings import Settings

LOCAL_FLAGS = ("host", "port", "services")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@name_argument
@settings_flags()
@cloud_flags
@click.option("--keep", is_flag=True, help="Leave what was made, even if the deploy fails.")
@click.option(
    "--no-wait", is_flag=True, help="End when the server has its code; it goes on by itself."
)
@click.option("--recreate", is_flag=True, help="Make the server anew; its address stays.")
@click.option("--take-over", is_flag=True, help="Go on where another, killed deploy stopped.")
@click.option("--local", "here", is_flag=True, help="Serve on this machine, whatever is sourced.")
@click.option("--host", help="On this machine: address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="On this machine: port to listen on.")
@click.option("--services", is_flag=True, help="On this machine: RabbitMQ and separate processes.")
@edge
def deploy(
    *,
    keep: bool,
    no_wait: bool,
    recreate: bool,
    take_over: bool,
    here: bool,
    host: str | None,
    port: int | None,
    services: bool,
    **flags: Any,
) -> None:
    """Deploy to the sourced cloud and wait for a first prediction.

    Without OpenStack credentials, serve on this machine instead.
    """
    source = None if here else find_source(flags)
    if source is None:
        if not here:
            click.echo(
                "No OpenStack credentials (no OS_* variables, no clouds.yaml): "
                "serving on this machine instead.",
                err=True,
            )
            _say_unused(flags)
        serve_here.become(serve_here.command(host, port, services, flags.get("workers")))
    if host or port or services:
        raise SettingsError(
            "--host, --port and --services are for serving on this machine, but there are "
            "OpenStack credentials.",
            "Add --local to serve here, or leave them out to deploy to the cloud.",
        )
    options = Options(keep=keep, wait=not no_wait, recreate=recreate, take_over=take_over)
    deploy_to_cloud(flags, source, options)


def deploy_to_cloud(flags: dict[str, Any], source: Source, options: Options) -> None:
    """The verb's work once a cloud is meant."""
    began = time.monotonic()
    session = open_session(flags, source=source)
    interrupts = Interrupts()
    with interrupts.installed():
        identity = session.login()
        plan, _ = session.plan(identity, recreate=options.recreate)
        session.begin(identity, plan)
        with session.showing(interrupts, f"Deploying {session.name!r}", began=began) as progress:
            result = Launch(
                cloud=session.cloud,
                settings=session.settings,
                plan=plan,
                folder=session.folder,
                progress=progress,
                interrupts=interrupts,
                options=options,
            ).run()
    _end(session, result)


def _say_unused(flags: dict[str, Any]) -> None:
    """What was given for a cloud says that a cloud was meant."""
    given = [
        "--" + name.replace("_", "-")
        for name, value in flags.items()
        if value and name in Settings.model_fields and name != "workers"
    ]
    if given:
        click.echo(f"Not used here: {', '.join(given)}.", err=True)


def _end(session: Session, result: Result) -> None:
    if session.as_json:
        click.echo(json.dumps(result.as_json()))
        return
    after = f"after {result.seconds:.0f} s"
    if result.ready:
        session.say(f"\nReady {after}; it predicts: {result.prediction}.", "bold")
    else:
        session.say(f"\nThe server has its code {after} and goes on by itself.", "bold")
        session.say(f"  Ready?     {COMMAND} status {result.name}")
    session.say(
        f"  Open:      {result.url}\n  Log in:    {result.ssh}\n"
        f"  Take away: {COMMAND} delete {result.name}"
    )
