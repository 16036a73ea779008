"""backup, restore: save a deployment's jobs and models in one archive, and bring them back."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from openstack_client.cli import serve_here
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import SSH_SETTINGS, cloud_flags, settings_flags
from openstack_client.cli.session import Session, find_source, open_session
from openstack_client.cli.ssh import find_service_by_ssh
from openstack_client.deploy import archive, transfer
from openstack_client.deploy.archive import Archive, Damaged
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.errors import SettingsError, TimedOut
from openstack_client.watch import stages
from openstack_client.watch.probe import Probe, Service
from openstack_client.watch.tunnel import reach

PAUSE = 1.0

# A path, so that shells complete it.
words_argument = click.argument(
    "words", metavar="[NAME] FILE", nargs=-1, required=True, type=click.Path()
)
local_flag = click.option(
    "--local", "here", is_flag=True, help="The service on this machine, even with credentials."
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@words_argument
@settings_flags(SSH_SETTINGS)
@cloud_flags
@local_flag
@report_errors
def backup(words: tuple[str, ...], here: bool, **flags: Any) -> None:
    """Save all jobs and models of a deployment in the archive FILE.

    The service keeps running. Without OpenStack credentials, this saves the service on this
    machine.
    """
    file = _file(words, flags)
    if file.exists():
        raise SettingsError(f"{file} exists already.", "Choose another name, or delete it.")
    _serve_here(here, flags, "backup", str(file))
    session = open_session(flags)
    interrupts = Interrupts()
    with interrupts.installed():
        target = find_service_by_ssh(session)
        title = f"Saving {session.name!r}"
        with session.showing(interrupts, title, stages.BACKUP) as progress:
            transfer.fetch(target, file, progress)
    _answer(session, archive.check(file), f"\nSaved in {file}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@words_argument
@settings_flags((*SSH_SETTINGS, "timeout_ready"))
@cloud_flags
@local_flag
@click.option("--yes", "-y", is_flag=True, help="Skip the question before anything is deleted.")
@report_errors
def restore(words: tuple[str, ...], here: bool, yes: bool, **flags: Any) -> None:
    """Replace all jobs and models of a deployment by those of the archive FILE.

    The service stops meanwhile. A damaged archive changes nothing. Without OpenStack credentials,
    this restores the service on this machine, which must not run.
    """
    file = _file(words, flags)
    try:
        found = archive.check(file)
    except Damaged as error:
        raise SettingsError(
            f"{file} is not a complete backup: {error}.", "Nothing was changed."
        ) from error
    _serve_here(here, flags, "restore", str(file), *(["--yes"] if yes else []))
    session = open_session(flags)
    interrupts = Interrupts()
    with interrupts.installed():
        target = find_service_by_ssh(session)
        if not session.as_json:
            session.say(f"{file}: {found.summary}.")
        loss = f"This deletes all present jobs and models of deployment {session.name!r}."
        if not session.as_json and not yes:
            session.say(loss, "bold red")
        session.confirm("Replace them by those of the archive?", yes, loss)
        title = f"Restoring {session.name!r}"
        with session.showing(interrupts, title, stages.RESTORE) as progress:
            progress.stage("checked")
            transfer.send(target, file, progress, interrupts)
            with reach(target.address, target.via) as way:
                probe = _wait(way.service(), session.settings.timeout_ready)
            progress.stage("ready", "done", probe.summary)
    _answer(session, found, f"\nRestored {file}")


def _file(words: tuple[str, ...], flags: dict[str, Any]) -> Path:
    """FILE; a NAME before it goes to the settings."""
    if len(words) > 2:
        raise click.UsageError(f"Expected [NAME] FILE, not {len(words)} arguments.")
    flags["named"] = words[0] if len(words) == 2 else None
    return Path(words[-1])


def _serve_here(here: bool, flags: dict[str, Any], *arguments: str) -> None:
    """Without a cloud, become the service's own verb."""
    named = flags["named"] or flags["name"]
    if not here and (named or find_source(flags)):
        return
    if named:
        raise SettingsError("A name and --local cannot be combined.", "Drop one of them.")
    if flags["as_json"]:
        raise SettingsError("--json needs a deployment in a cloud.", "Drop it for this machine.")
    if not here:
        click.echo("No OpenStack credentials found: using the service on this machine.", err=True)
    serve_here.become([sys.executable, "-m", "production_server", *arguments])


def _wait(service: Service, timeout: float) -> Probe:
    """Wait until the restored service predicts."""
    until = time.monotonic() + timeout
    while not (probe := service.probe()).ok:
        if time.monotonic() > until:
            raise TimedOut(
                f"The archive was restored, but there is no prediction after {timeout:.0f} s: "
                f"{probe.summary}.",
                "Check `status` and `logs --unit worker`.",
            )
        time.sleep(PAUSE)
    return probe


def _answer(session: Session, found: Archive, what: str) -> None:
    if session.as_json:
        click.echo(json.dumps({"event": "result", "name": session.name, **found.as_json()}))
    else:
        session.say(f"{what}: {found.summary}.", "bold")
