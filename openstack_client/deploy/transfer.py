"""Fetch a backup from a server over ssh, and send one to be restored there.

The programs that run on the server are those of `production_server/cli/backup.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

from openstack_client.deploy import archive
from openstack_client.deploy.archive import Archive, Damaged
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.on_server import as_root
from openstack_client.deploy.remote import Remote, megabytes
from openstack_client.errors import ContextualizationError, SettingsError
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget

# Run a verb of the service as its account and with its settings, by the role's own program if it
# has one.
_UNIT = (
    "systemd-run --quiet --pipe --wait --collect --uid=stackserve --gid=stackserve "
    "--property=EnvironmentFile=/etc/stackserve/server.env "
    "--property=WorkingDirectory=/opt/stackserve/app --property=UMask=0027 "
    "/opt/stackserve/venv/bin/python -m production_server"
)
VERB = f"$(command -v stackserve-service || echo {_UNIT})"
BACKUP = as_root(f"exec {VERB} backup -")
# Each line that it prints is a stage. An upload that ends too early does not pass the check, and
# whatever happens after that, the services are started again.
RESTORE_SCRIPT = f"""set -eu
! command -v stackserve-restore >/dev/null || exec stackserve-restore
umask 077
file=$(mktemp /var/tmp/stackserve-restore-XXXXXX)
units=
finish() {{
    rm -f "$file"
    [ -z "$units" ] || systemctl start $units
}}
trap finish EXIT
trap '' HUP PIPE
cat >"$file"
chown stackserve: "$file"
{VERB} restore --check "$file" >/dev/null
echo verified
units=$(systemctl list-units --plain --no-legend stackserve-web.service \\
    stackserve-recorder.service stackserve-trainer.service 'stackserve-worker@*.service' |
    cut -d ' ' -f 1)
systemctl stop $units
echo stopped
{VERB} restore --yes "$file" >/dev/null
echo restored
"""
RESTORE = as_root(RESTORE_SCRIPT)


def fetch(target: SshTarget, file: Path, progress: Progress) -> Archive:
    """Save the server's jobs and models in `file`: complete and only for its owner, or absent."""
    part = file.with_name(file.name + ".part")
    progress.stage("saved", "begin")
    try:
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as out, Remote.running(target, BACKUP) as remote:
                os.fchmod(handle, 0o600)
                remote.receive(out, progress)
                out.flush()
                os.fsync(handle)
                remote.end("save its jobs and models")
        except OSError as error:
            raise SettingsError(
                f"Cannot write {part}: {error.strerror}.", "Choose another file."
            ) from error
        progress.stage("received", "done", megabytes(part.stat().st_size))
        found = _check_received(part)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    progress.stage("checked")
    return found


def _check_received(part: Path) -> Archive:
    try:
        return archive.check(part)
    except Damaged as error:
        raise ContextualizationError(
            f"The archive is damaged: {error}.", "Run the command again."
        ) from error


def send(target: SshTarget, file: Path, progress: Progress, interrupts: Interrupts) -> None:
    """Send an archive and restore it. Interrupted before it is sent, nothing changes."""
    progress.stage("sent", "begin")
    with Remote.running(target, RESTORE, feed=True) as remote:
        remote.feed(file, progress)
        progress.stage("sent", "done")
        # From here on the server works alone, and stopping here would not stop it.
        with interrupts.shield():
            remote.follow(progress)
            remote.end("restore the archive")
