"""delete: show what will go, ask, remove it all and wait until it is gone."""

from __future__ import annotations

import time
from typing import Any

import click

from openstack_client.cli.options import LOOKING, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import edge, no_deployment, open_desk
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
    desk = open_desk(flags)
    identity = desk.login()
    mine = find(desk.cloud, desk.name)
    files = local_files(desk.folder, desk.name)
    if mine.empty and not files:
        words = str(no_deployment(desk.cloud, desk.name))
        if desk.as_json:
            desk.answer({"name": desk.name, "deleted": [], "note": words})
        else:
            desk.say(f"Nothing to delete. {words}")
        return
    under_way = held_by_another(desk.name, mine.ports, time.time())
    if under_way and not take_over:
        raise busy(desk.name, under_way, time.time())
    rows = [{"kind": kind, "name": name, "id": id_} for kind, name, id_ in mine.lines()]
    rows += [{"kind": "file here", "name": str(path), "id": ""} for path in files]
    left = keypair_of_another(mine, identity)
    if not desk.as_json:
        desk.say(f"This goes with deployment {desk.name!r}:")
        desk.console.print(table_of(rows, ["kind", "name", "id"]))
        if left:
            desk.say(left, "yellow")
    if not desk.agreed("Delete all of it?", yes):
        return
    try:
        Remover(desk.cloud, (lambda text: None) if desk.as_json else desk.say).remove(mine)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"Stopped before all of {desk.name!r} was gone.",
            f"Run `delete {desk.name}` again; what is gone already is passed over.",
        ) from stop
    forget(files)
    if desk.as_json:
        desk.answer({"name": desk.name, "deleted": rows} | ({"note": left} if left else {}))
    else:
        desk.say(f"Deployment {desk.name!r} is gone.")
