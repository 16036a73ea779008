"""Fetch a backup from a server over ssh, and send one to be restored there.

The programs that run on the server are those of `production_server/cli/backup.py`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from openstack_client.deploy import archive
from openstack_client.deploy.archive import Archive, Damaged
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.on_server import as_root
from openstack_client.errors import ContextualizationError, ServerError, SettingsError
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget

# No prompts, and an end to a connection that is dead.
OPTIONS = [
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8"),
]
BLOCK = 1 << 20
LOG_LINES = 12
REPORT_EVERY = 1.0
NO_SUCH_VERB = "No such command"

# Run a verb of the service as its account and with its settings, by the role's own program if it
# has one.
_UNIT = (
    "systemd-run --quiet --pipe --wait --collect --uid=stackserve --gid=stackserve "
    "--property=EnvironmentFile=/etc/stackserve/server.env "
    "--property=WorkingDirectory=/opt/stackserve/app --property=UMask=0077 "
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
            with os.fdopen(handle, "wb") as out, _Remote.running(target, BACKUP) as remote:
                os.fchmod(handle, 0o600)
                remote.receive(out, progress)
                out.flush()
                os.fsync(handle)
                remote.end("save its jobs and models")
        except OSError as error:
            raise SettingsError(
                f"Cannot write {part}: {error.strerror}.", "Choose another file."
            ) from error
        progress.stage("received", "done", _megabytes(part.stat().st_size))
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
    with _Remote.running(target, RESTORE, feed=True) as remote:
        remote.feed(file, progress)
        progress.stage("sent", "done")
        # From here on the server works alone, and stopping here would not stop it.
        with interrupts.shield():
            remote.follow(progress)
            remote.end("restore the archive")


@dataclass
class _Remote:
    """A command that runs on the server."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    address: str

    @classmethod
    @contextmanager
    def running(cls, target: SshTarget, command: str, *, feed: bool = False) -> Iterator[_Remote]:
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                target.command(command, options=OPTIONS),
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                # The terminal sends Ctrl-C to its whole group; ssh must end only when we say so.
                start_new_session=True,
            )
            with process:
                try:
                    yield cls(process, errors, target.address)
                finally:
                    if process.poll() is None:
                        process.kill()

    def receive(self, out: IO[bytes], progress: Progress) -> None:
        assert self.process.stdout is not None
        done, reported = 0, time.monotonic()
        while block := self.process.stdout.read1(BLOCK):  # type: ignore[attr-defined]
            progress.stage("saved")
            progress.stage("received", "begin")
            done += out.write(block)
            if time.monotonic() > reported + REPORT_EVERY:
                progress.console(f"{_megabytes(done)} received")
                reported = time.monotonic()

    def feed(self, file: Path, progress: Progress) -> None:
        assert self.process.stdin is not None
        size, done, reported = file.stat().st_size, 0, time.monotonic()
        try:
            with file.open("rb") as source, self.process.stdin as out:
                while block := source.read(BLOCK):
                    done += out.write(block)
                    if time.monotonic() > reported + REPORT_EVERY:
                        progress.console(f"{_megabytes(done)} of {_megabytes(size)} sent")
                        reported = time.monotonic()
        except BrokenPipeError:
            return  # `end` reports why

    def follow(self, progress: Progress) -> None:
        """Report each line as a stage."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            progress.stage(line.decode("utf-8", "replace").strip())

    def end(self, doing: str) -> None:
        """Wait for the command; raise an error with its last lines if it failed."""
        code = self.process.wait()
        if code == 0:
            return
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").strip().splitlines()[-LOG_LINES:]
        if code == 255:
            raise ServerError(
                f"The ssh connection to {self.address} failed: {_last(lines)}.",
                "Try `ssh`, which uses the same key and host key.",
            )
        remedy = "Run `logs` or `ssh` to find out more."
        if any(NO_SUCH_VERB in line for line in lines):
            remedy = "Its code is older than this verb."
        raise ContextualizationError(
            f"The server could not {doing} (exit code {code}).", remedy, log="\n".join(lines)
        )


def _last(lines: Sequence[str]) -> str:
    return lines[-1].strip().rstrip(".") if lines else "no reason given"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
