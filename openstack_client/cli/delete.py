"""delete: list the resources, ask for confirmation, delete them and wait until they are gone."""

from __future__ import annotations

import time
from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import CLIENT_SETTINGS, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import no_deployment, open_session
from openstack_client.cli.tables import table_of
from openstack_client.deploy.credential import sweep
from openstack_client.deploy.delete import Deleter, delete_files, find, local_files
from openstack_client.deploy.lease import busy, held_by_another
from openstack_client.errors import Interrupted
from openstack_client.plan.inventory import keypair_of_another


@click.command()
@name_argument
@settings_flags(CLIENT_SETTINGS)
@cloud_flags
@click.option("--yes", "-y", is_flag=True, help="Skip the confirmation.")
@click.option(
    "--take-over", is_flag=True, help="Delete even while a deploy of that name is running."
)
@report_errors
def delete(yes: bool, take_over: bool, **flags: Any) -> None:
    """Delete a deployment: server, floating IP, port, security group, volume, keypair."""
    session = open_session(flags)
    identity = session.login()
    mine = find(session.cloud, session.name)
    files = local_files(session.folder, session.name)
    if mine.empty and not files:
        sweep(session.cloud)
        note = str(no_deployment(session.cloud, session.name))
        if session.as_json:
            session.answer({"name": session.name, "deleted": [], "note": note})
        else:
            session.say(f"Nothing to delete. {note}")
        return
    running = held_by_another(session.name, mine.ports, time.time())
    if running and not take_over:
        raise busy(session.name, running, time.time())
    rows = [{"kind": kind, "name": name, "id": id_} for kind, name, id_ in mine.lines()]
    rows += [{"kind": "local file", "name": str(path), "id": ""} for path in files]
    left = keypair_of_another(mine, identity)
    if not session.as_json:
        session.say(f"Resources of deployment {session.name!r}:")
        session.console.print(table_of(rows, ["kind", "name", "id"]))
        if left:
            session.say(left, "yellow")
    session.confirm("Delete all of them?", yes)
    try:
        Deleter(session.cloud, (lambda text: None) if session.as_json else session.say).delete(mine)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"Stopped before {session.name!r} was completely deleted.",
            f"Run `delete {session.name}` again; it skips what is already deleted.",
        ) from stop
    stays = sweep(session.cloud)
    delete_files(files)
    if session.as_json:
        notes = " ".join(filter(None, [left, *stays]))
        session.answer({"name": session.name, "deleted": rows} | ({"note": notes} if notes else {}))
    else:
        for note in stays:
            session.say(note, "yellow")
        session.say(f"Deployment {session.name!r} was deleted.")
