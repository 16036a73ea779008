"""status: show the server, units, queues, model, and whether the deployed code is current."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from openstack_client import userdata
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import SSH_SETTINGS, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cli.ssh import learn_host_key
from openstack_client.cli.tables import table_of
from openstack_client.cloud.resources import Server
from openstack_client.deploy.accounts import Accounts
from openstack_client.errors import CloudError, LauncherError, Unhealthy
from openstack_client.places import IMPORT_FOLDER
from openstack_client.plan import keypair
from openstack_client.plan.inventory import watched
from openstack_client.plan.secured import Secured
from openstack_client.roles import Ask, Watched
from openstack_client.service import HTTP_PORT
from openstack_client.watch import console
from openstack_client.watch.authority import Recognition
from openstack_client.watch.boot import read_console
from openstack_client.watch.console import Mark
from openstack_client.watch.probe import Service
from openstack_client.watch.ready import ask
from openstack_client.watch.shown import validity
from openstack_client.watch.ssh import SshTarget
from openstack_client.watch.status import Inspection, inspect_server, status_json
from openstack_client.watch.trust import Untrusted
from openstack_client.watch.tunnel import Way, reach

SHOWN = (
    ("role", "role"),
    ("server", "server"),
    ("server_status", "state"),
    ("fault", "fault"),
    ("address", "address"),
    ("flavor", "flavor"),
    ("created", "created"),
    ("lifetime", "lifetime"),
    ("model", "model"),
    ("version", "version"),
    ("prediction", "prediction"),
    ("answer", "answer"),
    ("certificate", "certificate"),
    ("service", "service"),
    ("setup", "setup"),
    ("code_deployed", "deployed code"),
    ("drift", "drift from local code"),
)

WORK_SHOWN = ["name", "processes", "versions", "tasks", "tasks_per_second", "busy", "last_heard"]
WORKERS = ["name", "status", "connected", "address", "flavor", "created", "fault"]


@click.command()
@name_argument
@settings_flags(SSH_SETTINGS)
@cloud_flags
@click.option("--no-ssh", is_flag=True, help="Skip the checks over ssh.")
@report_errors
def status(no_ssh: bool, **flags: Any) -> None:
    """Show the state of a deployment. Exits with 11 if it is not ready."""
    session = open_session(flags)
    session.login()
    mine = session.inventory()
    server = mine.front
    role = watched(server)
    has_code = role.ask is Ask.PREDICTION
    on_disk = userdata.code_hash(userdata.read_code(IMPORT_FOLDER)) if has_code else ""
    probe = alive = inside = setup = not_ready = listed = seen = None
    if server and server.status == "ACTIVE" and mine.address_of(server):
        marks = [] if has_code else _marks(session, server, role)
        address, via = mine.address_of(server), session.settings.ssh_via
        with reach(address, via, role.port or HTTP_PORT) as way:
            service = way.service()
            if role.tls:
                _recognize(session, server, way, service)
            probe = ask(role, service, marks)
            if probe.ok and role.tls:
                seen = validity(way, Secured.from_metadata(server.metadata).domain)
            if probe.ok and has_code:
                alive = service.get_json("/alive")
        if not probe.ok:
            setup = _setup(session, server, role)
            not_ready = service.not_ready() if has_code else None
        if not no_ssh:
            target = session.ssh_target(mine, server)
            inside = _inside(session, target, server)
            listed = _listed(target) if mine.workers and not inside.problem else None
    content = status_json(
        server,
        mine,
        probe=probe,
        setup=setup,
        alive=alive,
        inside=inside,
        on_disk=on_disk,
        not_ready=not_ready,
        certificate=seen.sentence if seen else None,
        listed=listed,
    )
    if session.as_json:
        session.answer(content)
    else:
        _show(session, content)
    if not content["ready"]:
        if session.as_json:
            raise SystemExit(Unhealthy.exit_code)
        why = probe.summary if probe else f"its server is {content['server_status']}"
        # A service that says what it lacks has come up; its setup is not at fault.
        remedy = (not_ready or {}).get("remedy") or (
            f"Check its console with `logs {mine.name}`; `deploy {mine.name}` finishes it or keeps "
            "waiting."
        )
        raise Unhealthy(f"Deployment {mine.name!r} is not ready: {why}.", str(remedy))


def _recognize(session: Session, server: Server, way: Way, service: Service) -> None:
    """Trust the server as its console asks for, or as it was noted before."""
    text = ""
    with suppress(CloudError):
        text = read_console(session.cloud, server)
    file = keypair.authority(session.folder, session.name)
    try:
        Recognition(session.cloud, server, way, service, file).update(text)
    except Untrusted as error:
        service.untrusted = str(error)


def _work(worker: dict[str, Any]) -> dict[str, Any]:
    """The work of a worker VM, for people."""
    busy = None if worker["busy"] is None else f"{worker['busy']:.0%}"
    return worker | {"versions": ", ".join(worker["versions"] or ()), "busy": busy}


def _inside(session: Session, target: SshTarget, server: Server) -> Inspection:
    try:
        if not learn_host_key(session, target, server):
            return Inspection(problem="the console does not show the server's host key yet")
    except CloudError as error:
        return Inspection(problem=error.what.rstrip("."))
    return inspect_server(target, watched(server))


def _listed(target: SshTarget) -> dict[str, dict[str, Any]] | None:
    """What the front end knows of the worker VMs; None if it cannot tell."""
    try:
        return Accounts(target).listed()
    except LauncherError:
        return None


def _setup(session: Session, server: Server, role: Watched) -> str:
    """The setup progress of a server that is not ready yet, from its console."""
    try:
        text = read_console(session.cloud, server)
    except CloudError as error:
        return error.what
    return console.describe_setup(console.marks(text, role.stages), role.stages)


def _marks(session: Session, server: Server, role: Watched) -> list[Mark]:
    """The stages since the last boot; none if the cloud shows no console."""
    try:
        text = read_console(session.cloud, server)
    except CloudError:
        return []
    return console.since_boot(console.marks(text, role.stages))


def _show(session: Session, content: dict[str, Any]) -> None:
    rows = [
        {"what": label, "value": content[key]} for key, label in SHOWN if content[key] is not None
    ]
    queues = ", ".join(f"{name} {depth}" for name, depth in content["queues"].items())
    if queues:
        rows.append({"what": "queues", "value": queues})
    session.say(f"Deployment {content['name']!r}")
    session.console.print(table_of(rows, ["what", "value"]))
    if content["units"]:
        session.console.print(
            table_of(content["units"], ["name", "active", "sub", "restarts", "memory_mb"])
        )
    if content["workers"]:
        session.console.print(table_of(content["workers"], WORKERS))
        if any(worker["last_heard"] for worker in content["workers"]):
            session.console.print(table_of([_work(one) for one in content["workers"]], WORK_SHOWN))
    if content["drift"] == "differs":
        session.say(
            "The deployed code differs from the local code. `update --code` brings the local one "
            "there while the service runs.",
            "yellow",
        )
    if content["inside_problem"]:
        session.say(f"Units and queues: {content['inside_problem']}.", "yellow")
