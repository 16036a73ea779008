"""logs: the server's console, or a unit's journal over ssh."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

from openstack_client.cli.options import LOOKING_INSIDE, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Desk, edge, open_desk
from openstack_client.cli.ssh import ready_way
from openstack_client.errors import NoDeployment, SettingsError
from openstack_client.plan.inventory import Inventory
from openstack_client.watch.boot import read_console
from openstack_client.watch.status import UNITS

PAUSE = 2.0


@click.command()
@name_argument
@settings_flags(LOOKING_INSIDE)
@cloud_flags
@click.option("--unit", type=click.Choice(sorted(UNITS)), help="A unit's journal, over ssh.")
@click.option("--follow", "-f", is_flag=True, help="Go on as new lines come.")
@click.option("--lines", "-n", type=click.IntRange(1), default=200, show_default=True)
@edge
def logs(unit: str | None, follow: bool, lines: int, **flags: Any) -> None:
    """Show the console log, or the journal of a unit."""
    if follow and flags["as_json"]:
        raise SettingsError("--follow has no end, and --json is one document.", "Leave one out.")
    desk = open_desk(flags)
    if unit:
        _journal(desk, unit, lines, follow)
        return
    desk.login()
    mine = _inventory(desk)
    server = desk.the_server(mine)
    text = read_console(desk.cloud, server, lines)
    if desk.as_json:
        desk.answer({"name": mine.name, "server": server.id, "lines": text.splitlines()})
        return
    click.echo(text)
    while follow:
        time.sleep(PAUSE)
        now = read_console(desk.cloud, server, lines)
        fresh = added(text, now)
        if fresh:
            click.echo(fresh, nl=False)
        text = now


def _inventory(desk: Desk) -> Inventory:
    try:
        return desk.inventory()
    except NoDeployment as error:
        if desk.name not in UNITS:
            raise
        hint = f"For the journal of a unit: logs --unit {desk.name}."
        raise NoDeployment(error.what, f"{hint} {error.remedy}") from error


def added(before: str, now: str) -> str:
    """What `now` has after the end of `before`, when both are the tail of one log."""
    if now.startswith(before):
        return now[len(before) :]
    tail = before[-200:]
    place = now.rfind(tail) if tail else -1
    return now[place + len(tail) :] if place >= 0 else now


def _journal(desk: Desk, unit: str, lines: int, follow: bool) -> None:
    way = ready_way(desk)
    more = " --follow" if follow else ""
    command = f"sudo journalctl --no-pager --lines={lines} --unit='{UNITS[unit]}'{more}"
    if desk.as_json:
        done = way.run(command)
        desk.answer({"name": desk.name, "unit": unit, "lines": done.stdout.splitlines()})
        return
    arguments = way.command(command)
    sys.stdout.flush()
    os.execvp(arguments[0], arguments)
