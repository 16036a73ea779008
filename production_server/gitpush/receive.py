"""stackserve-git-receive: root's part of a push. Takes a version from standard input; see push.py.

The account `deploy` may run it with sudo, without arguments. It trusts nothing that it reads: the
files are checked in a sandbox, and used as the service's own account.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import syslog
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from production_server.errors import PushError, StackserveError
from production_server.gitpush.archive import repack
from production_server.gitpush.history import shorten
from production_server.gitpush.keys import NAME
from production_server.gitpush.layout import MB, MOST_BYTES, ON_SERVER, TAKEN, Layout
from production_server.gitpush.sandbox import Runner, Systemd
from production_server.gitpush.tree import Kind

LONGEST_HEADER = 1000
BLOCK = 1 << 20
# For headers and padding of the tar.
OVERHEAD = 64 * MB
# Room that a push leaves on the disk.
SPARED = 500 * MB


@dataclass(frozen=True)
class Header:
    kind: Kind
    pusher: str
    commit: str


def main(source: IO[bytes], layout: Layout = ON_SERVER, runner: Runner | None = None) -> int:
    """Put the version on `source` live. Returns the exit code."""
    runner = runner or Systemd(layout)
    try:
        line = source.readline(LONGEST_HEADER)
        if line == TAKEN.encode() + b"\n":
            shorten(layout)
            return 0
        header = read_header(line)
        with tempfile.NamedTemporaryFile(dir=layout.home, prefix="incoming-") as spool:
            _spool(source, spool, layout.home)
            if header.kind is Kind.MODEL:
                _take_model(Path(spool.name), runner)
            else:
                _take_code(Path(spool.name), runner)
    except StackserveError as error:
        print(f"error: {error}", *filter(None, [error.remedy]), sep="\n", file=sys.stderr)
        return 1
    syslog.syslog(f"{header.pusher} pushed a new {header.kind}, commit {header.commit}: live")
    return 0


def read_header(line: bytes) -> Header:
    try:
        values = json.loads(line)
        header = Header(Kind(values["kind"]), str(values["pusher"]), str(values["commit"]))
    except (ValueError, KeyError, TypeError) as error:
        raise PushError(f"this is no push: {error}") from error
    if not NAME.fullmatch(header.pusher) or not header.commit.isalnum():
        raise PushError("this is no push: it has no proper name or commit")
    return header


def _spool(source: IO[bytes], spool: IO[bytes], folder: Path) -> None:
    """Keep the files until all are here, within the limits."""
    size = 0
    while block := source.read(BLOCK):
        size += len(block)
        if size > MOST_BYTES + OVERHEAD:
            raise PushError(f"it is larger than the {MOST_BYTES // MB} MB that a push may bring")
        if shutil.disk_usage(folder).free < SPARED:
            raise PushError(
                f"the server's disk has less than {SPARED // MB} MB left",
                "Delete versions or jobs there that nobody needs.",
            )
        spool.write(block)
    spool.flush()


def _take_model(tar: Path, runner: Runner) -> None:
    print("Checking the model ...", flush=True)
    if _run(runner.check(), tar):
        raise PushError("the model did not pass the check")
    print("Going live ...", flush=True)
    if _run(runner.activate(), tar):
        raise PushError("the model did not go live")


def _take_code(tar: Path, runner: Runner) -> None:
    print("Releasing the code ...", flush=True)
    packed = tar.with_name(tar.name + ".xz")
    try:
        content, code = repack(tar)
        packed.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        if _run(runner.update_code(digest, code), packed):
            raise PushError("the code did not go live")
    finally:
        packed.unlink(missing_ok=True)


def _run(command: Sequence[str], source: Path) -> int:
    """Run a command on the file. What it prints goes to the pusher."""
    with source.open("rb") as data:
        return subprocess.run(command, stdin=data, check=False).returncode
