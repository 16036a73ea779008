"""deploy: deploy to a cloud; without OpenStack credentials, serve on this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from openstack_client.cli import git_remote, serve_here
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import change_flags, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, find_source, open_session
from openstack_client.cli.silent import silent_workers
from openstack_client.cloud.credentials import Source
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.result import Result
from openstack_client.deploy.run import Launch, Options
from openstack_client.errors import OldCode, SettingsError
from openstack_client.places import COMMAND
from openstack_client.roles import Ask
from openstack_client.settings import Settings
from openstack_client.watch import stages
from openstack_client.watch.tunnel import check_jump_host

# The settings that count on this machine too.
HERE_TOO = {"workers", "tls", "domain", "acme_server"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@name_argument
@settings_flags()  # one for each field of settings.py:Settings
@cloud_flags
@click.option("--keep", is_flag=True, help="Keep the created resources even if the deploy fails.")
@click.option(
    "--no-wait", is_flag=True, help="Exit once the server has its code; setup continues there."
)
@click.option("--recreate", is_flag=True, help="Recreate all servers; the address stays.")
@change_flags
@click.option(
    "--tls-out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --tls self or acme: save the certificate authority in this file too.",
)
@click.option(
    "--pushes-to",
    metavar="NAME",
    help="With --role dev: the deployment to which this server may push models.",
)
@click.option(
    "--local", "here", is_flag=True, help="Serve on this machine even if credentials are set."
)
@click.option("--host", help="Local only: address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Local only: port to listen on.")
@click.option("--services", is_flag=True, help="Local only: use RabbitMQ and separate processes.")
@report_errors
def deploy(
    *,
    keep: bool,
    no_wait: bool,
    recreate: bool,
    no_drain: bool,
    yes: bool,
    take_over: bool,
    tls_out: Path | None,
    pushes_to: str | None,
    here: bool,
    host: str | None,
    port: int | None,
    services: bool,
    **flags: Any,
) -> None:
    """Deploy to the configured cloud and wait for the first prediction.

    Without OpenStack credentials, it serves on this machine instead.
    """
    source = None if here else find_source(flags)
    if source is None:
        if not here:
            click.echo(
                "No OpenStack credentials found (no OS_* variables, no clouds.yaml): "
                "serving on this machine instead.",
                err=True,
            )
            _report_unused(flags)
        workers, tls = flags.get("workers"), flags.get("tls")
        named = {name: flags.get(name) for name in ("domain", "acme_server")}
        serve_here.become(serve_here.command(host, port, services, workers, tls), named)
    if host or port or services:
        raise SettingsError(
            "--host, --port and --services only apply to this machine, but OpenStack "
            "credentials are set.",
            "Add --local to serve here, or drop these flags to deploy to the cloud.",
        )
    if pushes_to:
        git_remote.check(flags, pushes_to, no_wait=no_wait)
    options = Options(
        keep=keep,
        wait=not no_wait,
        recreate=recreate,
        take_over=take_over,
        drain=not no_drain,
    )
    deploy_to_cloud(flags, source, options, yes, tls_out=tls_out)
    if pushes_to:
        git_remote.connect(flags, pushes_to)


def deploy_to_cloud(
    flags: dict[str, Any],
    source: Source,
    options: Options,
    yes: bool,
    *,
    scaling: bool = False,
    tls_out: Path | None = None,
) -> None:
    """Deploy with the given credentials. Raises OldCode if it keeps a server with other code.

    `scaling` changes the worker VMs of a deployment that exists, and nothing else.
    """
    began = time.monotonic()
    session = open_session(flags, source=source)
    interrupts = Interrupts()
    with interrupts.installed():
        identity = session.login()
        silent: dict[str, str] = {}
        if scaling:
            mine = session.inventory()
            session.the_server(mine)
            silent = silent_workers(session, mine)
            # It does not begin anew.
            session.settings = session.settings.model_copy(update={"ttl": None})
        plan, _ = session.plan(identity, recreate=options.recreate, scaling=scaling, silent=silent)
        session.begin(identity, plan)
        check_jump_host(session.settings.ssh_via)
        if plan.loss:
            replaced = any(member.loss for member in plan.servers)
            session.confirm("Replace the server?" if replaced else "Remove them?", yes, plan.loss)
        title = f"{'Scaling' if scaling else 'Deploying'} {session.name!r}"
        shown = stages.deploy(plan.front.role)
        with session.showing(interrupts, title, shown, began) as progress:
            result = Launch(
                cloud=session.cloud,
                settings=session.settings,
                plan=plan,
                folder=session.folder,
                progress=progress,
                interrupts=interrupts,
                options=options,
            ).run()
    if tls_out and result.authority:
        tls_out.write_bytes(result.authority.read_bytes())
    _show_result(session, result)
    if result.drift == "differs":
        state = "is ready" if result.ready else "has its server"
        raise OldCode(
            f"Deployment {result.name!r} {state}, but its code is {result.code_deployed}, not "
            f"{result.code_on_disk} as on this machine. This deploy did not change it.",
            f"`update {result.name} --code` changes it while the service runs. `deploy --recreate "
            f"{result.name}` replaces the server, and keeps its address but not its jobs.",
        )


def _report_unused(flags: dict[str, Any]) -> None:
    """Name the cloud flags that have no effect here: the user probably expected a cloud."""
    given = [
        "--" + name.replace("_", "-")
        for name, value in flags.items()
        if value and name in Settings.model_fields and name not in HERE_TOO
    ]
    if given:
        click.echo(f"Ignored on this machine: {', '.join(given)}.", err=True)


def _show_result(session: Session, result: Result) -> None:
    if session.as_json:
        click.echo(json.dumps(result.as_json()))
        return
    after = f"after {result.seconds:.0f} s"
    if result.ready:
        predicts = result.watched.ask is Ask.PREDICTION
        found = f"First prediction: {result.prediction}." if predicts else f"{result.prediction}."
        session.say(f"\nReady {after}. {found}", "bold")
        if result.workers:
            session.say(f"  Worker VMs that have joined: {len(result.workers)}")
    else:
        session.say(f"\nThe server {result.has} {after} and continues on its own.", "bold")
        session.say(f"  Ready?   {COMMAND} status {result.name}")
        if result.workers:
            session.say(f"  Its worker VMs join when you run {COMMAND} scale {result.name}")
    via = session.settings.ssh_via
    where = f"{COMMAND} open {result.name} --ssh-via {via}" if via else result.url
    if result.url:
        session.say(f"  Open:    {where}")
    if result.tls and result.tls.certificate:
        session.say(f"  TLS:     {result.tls.certificate}")
    if result.tls and result.tls.problem:
        session.say(result.tls.problem, "yellow")
    if result.authority:
        session.say(f"  Trust:   {result.authority}   (curl --cacert)")
    if result.redirect:
        session.say(f"  Sign-in: register {result.redirect} with the identity provider")
    if session.settings.access != "open" and result.watched.ask is Ask.PREDICTION:
        session.say(f"  Token:   {COMMAND} tokens create {result.name} TOKEN")
    if result.lifetime.sentence:
        session.say(result.lifetime.sentence, "" if result.lifetime.removes_itself else "yellow")
    session.say(f"  Log in:  {result.ssh}\n  Delete:  {COMMAND} delete {result.name}")
