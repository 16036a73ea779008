"""update, promote, rollback: change the model or the code of a deployment while it serves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from openstack_client import userdata
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import SSH_SETTINGS, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cli.ssh import find_service_by_ssh, server_by_ssh
from openstack_client.deploy import update as remote
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.model_file import packed
from openstack_client.errors import Interrupted, LauncherError, SettingsError
from openstack_client.places import COMMAND, IMPORT_FOLDER
from openstack_client.plan.inventory import CODE_KEY, DATA_KEY
from openstack_client.watch import stages
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget


def _verb(function: Callable[..., Any]) -> click.Command:
    """What the three verbs have in common."""
    named = name_argument(settings_flags(SSH_SETTINGS)(cloud_flags(report_errors(function))))
    return click.command(context_settings={"help_option_names": ["-h", "--help"]})(named)


@_verb
@click.option("--model", metavar="MODEL", help="A version, a folder or a file: send it there.")
@click.option("--code", is_flag=True, help="Run the code of this machine.")
@click.option(
    "--features",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Features file of the model.  [default: the active version's]",
)
@click.option("--canary", metavar="SHARE", help="Let it answer a share of the requests: 10%.")
@click.option("--shadow", is_flag=True, help="Send it a copy of the requests, and discard answers.")
@click.option("--promote-after", metavar="TIME", help="Serve it after such a trial: 30m.")
@click.option("--if-healthy", is_flag=True, help="With --promote-after: only if it does well.")
@click.option("--force", is_flag=True, help="Accept a model even if its metrics are worse.")
def update(
    *,
    model: str | None,
    code: bool,
    features: Path | None,
    canary: str | None,
    shadow: bool,
    promote_after: str | None,
    if_healthy: bool,
    force: bool,
    **flags: Any,
) -> None:
    """Give a deployment a new model or newer code, while it serves.

    What is worse, damaged or does not start is refused, and the service stays as it is.
    """
    trial = _trial(canary, shadow, promote_after, if_healthy)
    if (model is None) == (not code):
        raise SettingsError("Give either --model or --code.", "Run `update` once for each.")
    if code and (features or force or trial):
        raise SettingsError("--code takes none of the flags for models.", "Drop them.")
    session = open_session(flags)
    with _changing(session, stages.UPDATE) as (target, progress):
        if code:
            told = _send_code(session, target, progress)
        else:
            told = _send_model(target, str(model), features, trial, force, progress)
        progress.stage("live", "done")
    _answer(session, told)


@_verb
def promote(**flags: Any) -> None:
    """Serve the version that is on trial, as a canary or a shadow, from now on."""
    session = open_session(flags)
    with _changing(session, stages.CHANGE) as (target, progress):
        remote.models(target, ["promote"], progress)
        progress.stage("live", "done")
    _answer(session, {"promoted": True, "say": "The version on trial serves all requests now."})


@_verb
@click.option("--code", is_flag=True, help="Go back to the code before the last update.")
def rollback(*, code: bool, **flags: Any) -> None:
    """End a trial, or else serve the version that was active before. With --code: the code."""
    session = open_session(flags)
    with _changing(session, stages.CHANGE) as (target, progress):
        if code:
            for worker, at in _machines(session, target):
                progress.note(f"{worker or 'server'}: going back")
                remote.code_back(at, progress)
            _note_code(session, str((remote.releases(target) or {}).get("live", "")))
        else:
            remote.models(target, ["rollback"], progress)
        progress.stage("live", "done")
    what = "code" if code else "model"
    _answer(session, {"rolled_back": what, "say": f"The {what} from before is live again."})


def _trial(
    canary: str | None, shadow: bool, promote_after: str | None, if_healthy: bool
) -> list[str]:
    """The flags of a trial, as the service's own verbs take them."""
    if canary and shadow:
        raise SettingsError("--canary and --shadow cannot be combined.", "Choose one of them.")
    if (promote_after or if_healthy) and not (canary or shadow):
        raise SettingsError(
            "--promote-after and --if-healthy are about a trial.", "Add --canary or --shadow."
        )
    if if_healthy and not promote_after:
        raise SettingsError("--if-healthy needs --promote-after.", "Add --promote-after 30m.")
    words = ["--promote-after", promote_after] if promote_after else []
    words += ["--if-healthy"] if if_healthy else []
    if canary:
        return ["canary", "--share", canary, *words]
    return ["shadow", *words] if shadow else []


@contextmanager
def _changing(session: Session, shown: tuple[str, ...]) -> Iterator[tuple[SshTarget, Progress]]:
    interrupts = Interrupts()
    with interrupts.installed():
        target = find_service_by_ssh(session)
        with session.showing(interrupts, f"Updating {session.name!r}", shown) as progress:
            try:
                yield target, progress
            except KeyboardInterrupt as stop:
                raise Interrupted(
                    f"Stopped by Ctrl-C. {_what_runs(target)}.",
                    "What the server has begun, it finishes or undoes by itself.",
                ) from stop


def _what_runs(target: SshTarget) -> str:
    """For somebody who stopped the launcher: which code the server runs by now."""
    try:
        found = remote.releases(target)
    except LauncherError as error:
        return f"Which code the server runs is unknown: {error.what.rstrip('.')}"
    return f"The server runs code {found['live']}" if found else "`status` shows what it runs"


def _send_model(
    target: SshTarget,
    model: str,
    features: Path | None,
    trial: list[str],
    force: bool,
    progress: Progress,
) -> dict[str, Any]:
    words = ["--force"] if force else []
    with packed(model, features) as sent:
        if sent is None:
            version = model
        else:
            size = os.fstat(sent.fileno()).st_size
            told = remote.send_model(target, sent, size, words, progress)
            version = str(told["version"])
            for line in told.get("lines", ()):
                progress.note(str(line))
    progress.stage("checked", "done", version)
    how = [trial[0], version, *trial[1:]] if trial else ["activate", version]
    remote.models(target, how, progress)
    state = {"canary": "answers its share", "shadow": "gets a copy"}.get(how[0], "is active")
    return {"version": version, "state": how[0], "say": f"{version} {state}."}


def _send_code(session: Session, target: SshTarget, progress: Progress) -> dict[str, Any]:
    files = userdata.read_code(IMPORT_FOLDER)
    code, payload = userdata.code_hash(files), userdata.pack(files)
    for worker, at in _machines(session, target):
        progress.note(f"{worker or 'server'}: {len(payload) / 1e6:.1f} MB of code {code}")
        remote.send_code(at, payload, code, progress)
    _note_code(session, code)
    back = f"To go back: {COMMAND} rollback {session.name} --code"
    return {"code": code, "say": f"The service runs code {code}. {back}"}


def _machines(session: Session, front: SshTarget) -> Iterator[tuple[str, SshTarget]]:
    """The worker VMs, then the server: older workers understand its tasks, too."""
    for name in session.inventory().workers:
        yield name, server_by_ssh(session, name)[1]
    yield "", front


def _note_code(session: Session, code: str) -> None:
    """Let the cloud's metadata say what the servers run, for `deploy`, `scale` and `list`."""
    mine = session.inventory()
    for server in mine.servers:
        session.cloud.nova.servers.set_meta(server.id, {CODE_KEY: code})
        if DATA_KEY in server.metadata:
            # It was about the user data, which would differ by the code.
            session.cloud.nova.servers.delete_meta(server.id, [DATA_KEY])


def _answer(session: Session, told: dict[str, Any]) -> None:
    said = told.pop("say")
    if session.as_json:
        session.answer({"name": session.name, **told})
    else:
        session.say(f"\n{said}", "bold")
