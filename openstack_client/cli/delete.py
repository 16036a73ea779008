"""delete: show what will go, ask, remove it all and wait until it is gone."""

from __future__ import annotations

import time
from typing import Any

import click

from openstack_client.cli.errors import edge
from openstack_client.cli.options import LOOKING, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import no_deployment, open_session
from openstack_client.cli.tables import table_of
from openstack_client.deploy.delete import Remover, find, forget, local_files
from openstack_client.deploy.lease import busy, held_by_another
from openstack_client.errors import Interrupted
from openstack_client.plan.inventory import keypair_of_another


@click.command()
@name_argument
@settings_flags(LOOKING)
@cloud_flags
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--take-over", is_flag=True, help="Even while a deploy of that name is under way.")
@edge
def delete(yes: bool, take_over: bool, **flags: Any) -> None:
    """Remove a deployment: server, floating IP, port, security group, volume, keypair."""
    session = open_session(flags)
    identity = session.login()
    mine = find(session.cloud, session.name)
    files = local_files(session.folder, session.name)
    if mine.empty and not files:
        words = str(no_deployment(session.cloud, session.name))
        if session.as_json:
            session.answer({"name": session.name, "deleted": [], "note": words})
        else:
            session.say(f"Nothing to delete. {words}")
        return
    under_way = held_by_another(session.name, mine.ports, time.time())
    if under_way and not take_over:
        raise busy(session.name, under_way, time.time())
    rows = [{"kind": kind, "name": name, "id": id_} for kind, name, id_ in mine.lines()]
    rows += [{"kind": "file here", "name": str(path), "id": ""} for path in files]
    left = keypair_of_another(mine, identity)
    if not session.as_json:
        session.say(f"This goes with deployment {session.name!r}:")
        session.console.print(table_of(rows, ["kind", "name", "id"]))
        if left:
            session.say(left, "yellow")
    if not session.agreed("Delete all of it?", yes):
        return
    try:
        Remover(session.cloud, (lambda text: None) if session.as_json else session.say).remove(mine)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"Stopped before all of {session.name!r} was gone.",
            f"Run `delete {session.name}` again; what is gone already is passed over.",
        ) from stop
    forget(files)
    if session.as_json:
        session.answer({"name": session.name, "deleted": rows} | ({"note": left} if left else {}))
    else:
        session.say(f"Deployment {session.name!r} is gone.")
