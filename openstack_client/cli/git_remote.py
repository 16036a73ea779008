"""git-remote: let a key push new versions to a deployment with git."""

from __future__ import annotations

import getpass
import json
import re
import shlex
import socket
from pathlib import Path
from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import SSH_SETTINGS, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cli.ssh import find_service_by_ssh, server_by_ssh
from openstack_client.deploy import git_remote as remote
from openstack_client.deploy.git_remote import Remote
from openstack_client.errors import SettingsError
from openstack_client.plan.keypair import public_keys
from openstack_client.watch.ssh import SshTarget

REMOTE = "production"
DEVELOPMENT = "dev"


@click.command("git-remote")
@name_argument
@settings_flags(SSH_SETTINGS)
@cloud_flags
@click.option(
    "--public-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Somebody's public key.  [default: the one you log in with]",
)
@click.option("--key-name", help="What the server calls the key.  [default: you@this-machine]")
@click.option("--from", "development", metavar="NAME", help="Use the key of this dev server.")
@click.option("--allow-code", is_flag=True, help="Let the key push code too, not only models.")
@click.option("--remove", is_flag=True, help="Let the key push no longer.")
@report_errors
def git_remote(
    *,
    public_key: Path | None,
    key_name: str | None,
    development: str | None,
    allow_code: bool,
    remove: bool,
    **flags: Any,
) -> None:
    """Let your ssh key push new versions to a deployment with git, and print its address.

    The server then takes `git push production main`. See docs/git-push.md.
    """
    if development and (public_key or remove):
        raise SettingsError(
            "--from uses the key of the dev server, so it takes no --public-key or --remove.",
            "Drop one of them. To remove a dev server's key: --remove --key-name NAME.",
        )
    session = open_session(flags)
    if development:
        connect({**flags, "named": development, "name": None}, session.name, code=allow_code)
        return
    target = find_service_by_ssh(session)
    name = key_name or own_name()
    if remove:
        gone = remote.remove_key(target, name)
        _say_removed(session, name, gone)
        return
    public, private = _key(target, public_key)
    added = remote.add_key(target, name, public, code=allow_code)
    _say_added(session, target, added, private)


def check(flags: dict[str, Any], production: str, *, no_wait: bool) -> None:
    """Find out before a deploy whether its server can be connected to production afterwards."""
    role = open_session(flags).settings.role
    if Path(role or "").name != DEVELOPMENT or no_wait:
        raise SettingsError(
            "--pushes-to is for development servers, and waits until they are ready.",
            f"Deploy with --role {DEVELOPMENT} and without --no-wait.",
        )
    find_service_by_ssh(_named(flags, production))


def connect(flags: dict[str, Any], production: str, *, code: bool = False) -> None:
    """Let the development server of these flags push to production."""
    development, session = open_session(flags), _named(flags, production)
    target, there = find_service_by_ssh(session), server_by_ssh(development)[1]
    added = remote.add_key(target, development.name, remote.public_key(there), code=code)
    remote.point(there, added)
    if session.as_json:
        click.echo(json.dumps({**_as_json(session, added), "from": development.name}))
        return
    session.say(f"{development.name!r} may push to {session.name!r}: {added.url}", "bold")
    session.say(f"  There:   train --data FILE, then: git push {REMOTE} main")


def _named(flags: dict[str, Any], name: str) -> Session:
    """The same cloud, and another deployment."""
    return open_session({**flags, "named": name, "name": None})


def own_name() -> str:
    """Who pushes, as the server calls the key."""
    name = f"{getpass.getuser()}@{socket.gethostname()}"
    return re.sub(r"[^A-Za-z0-9._@-]", "-", name)[:63].lstrip("._@-") or "launcher"


def _key(target: SshTarget, given: Path | None) -> tuple[str, Path | None]:
    """The public key, and the private one if it is here."""
    if given is None:
        own = public_keys(Path.home() / ".ssh")
        named = target.key.with_name(f"{target.key.name}.pub") if target.key else None
        file = named or next(iter(own), None)
    else:
        file = given
    try:
        if file is None:
            raise FileNotFoundError(2, "no such file", "~/.ssh/id_ed25519.pub")
        text = file.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The public key cannot be read: {error}.", "Name one with --public-key FILE."
        ) from error
    private = file.expanduser().with_suffix("")
    return text, private if private.is_file() else None


def _as_json(session: Session, added: Remote) -> dict[str, Any]:
    return {
        "name": session.name,
        "remote": REMOTE,
        "url": added.url,
        "key": added.name,
        "fingerprint": added.fingerprint,
        "changed": added.changed,
        "host_keys": list(added.host_keys),
    }


def _say_added(session: Session, target: SshTarget, added: Remote, private: Path | None) -> None:
    command = remote.ssh_command(target, private)
    if session.as_json:
        session.answer({**_as_json(session, added), "ssh_command": command})
        return
    session.say(f"The key {added.name!r} may push to {session.name!r}. In your repository:", "bold")
    session.say(f"  git remote add {REMOTE} {added.url}")
    session.say(f"  git config core.sshCommand {shlex.quote(command)}")
    session.say(f"  git push {REMOTE} main")


def _say_removed(session: Session, name: str, gone: bool) -> None:
    if session.as_json:
        session.answer({"name": session.name, "key": name, "changed": gone})
        return
    session.say(f"The key {name!r} may {'no longer push' if gone else 'not push anyway'}.")
