"""The hook pre-receive: judges a push and hands what it brings to the program that root runs.

It runs as the account `deploy`, whose only right beyond its repository is that program. What it
writes to standard error appears on the pusher's terminal, after "remote: ". The push is taken only
if it exits with 0, and by then the new version is live.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from production_server.errors import PushError, StackserveError
from production_server.gitpush.layout import BRANCHES, ON_SERVER, Layout
from production_server.gitpush.tree import Kind, Parcel, find_parcel, read_entries

GIT = "git"
NOTHING = "0" * 40


@dataclass(frozen=True)
class Update:
    """A line of the hook's input: what a branch was, and what it shall be."""

    old: str
    new: str
    branch: str


def main(updates: IO[str], environment: Mapping[str, str], layout: Layout = ON_SERVER) -> int:
    """Judge the push. Returns the hook's exit code."""
    try:
        update = the_update(updates.read().splitlines())
        parcel = find_parcel(read_entries(_git("ls-tree", "-r", "-l", "-z", update.new)))
        may_code = environment.get("STACKSERVE_RIGHT") == "code"
        if parcel.kind is Kind.CODE and not may_code:
            raise PushError(
                "this key may push models, but no code",
                "An operator can allow it: stackserve git-remote --allow-code.",
            )
        say(f"Found the {parcel.kind} in {parcel.place} ({parcel.size / 1e6:,.1f} MB).")
        _hand_over(parcel, update, environment.get("STACKSERVE_PUSHER", "unknown"), layout)
    except StackserveError as error:
        say(f"Refused: {error}.")
        if error.remedy:
            say(error.remedy)
        say("Production is unchanged.")
        return 1
    return 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def the_update(lines: list[str]) -> Update:
    """The one update of the push. Raises PushError if that is not a new state of the branch."""
    if len(lines) != 1:
        raise PushError("one push can change one branch", "Push main alone: git push NAME main.")
    update = Update(*lines[0].split(" ", 2))
    if update.branch not in BRANCHES:
        short = update.branch.removeprefix("refs/heads/")
        raise PushError(
            f"{short} is not a branch of production", f"Push it as main: git push NAME {short}:main"
        )
    if update.new == NOTHING:
        raise PushError("the branch cannot be deleted", "Push another version instead.")
    return update


def _git(*arguments: str) -> bytes:
    done = subprocess.run([GIT, *arguments], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise PushError(f"git cannot read what was pushed: {said[:300]}", "Push it again.")
    return done.stdout


def _hand_over(parcel: Parcel, update: Update, pusher: str, layout: Layout) -> None:
    """Send the files to root's program, which checks them and puts them live."""
    about = {"kind": parcel.kind, "pusher": pusher, "commit": update.new}
    # Its output goes where this program's goes: to the pusher.
    receiving = subprocess.Popen(
        [*layout.become_root, str(layout.program)], stdin=subprocess.PIPE, stdout=sys.stderr
    )
    assert receiving.stdin is not None
    try:
        with receiving.stdin as pipe:
            pipe.write(json.dumps(about).encode() + b"\n")
            for block in packed(parcel):
                pipe.write(block)
    except BrokenPipeError:
        pass  # it has said why
    if receiving.wait():
        raise PushError("this version did not go live", "The lines above say why.")


def packed(parcel: Parcel) -> Iterator[bytes]:
    """A tar of the files, made here: a push cannot choose names, modes or kinds of entries."""
    for name, entry in parcel.files:
        info = tarfile.TarInfo(name)
        info.size, info.mode = entry.size, 0o644
        yield info.tobuf(tarfile.PAX_FORMAT)
        left = entry.size
        with subprocess.Popen([GIT, "cat-file", "blob", entry.blob], stdout=subprocess.PIPE) as git:
            assert git.stdout is not None
            while left and (block := git.stdout.read(min(left, 1 << 20))):
                left -= len(block)
                yield block
        if left:
            raise PushError(f"git cannot read {name} of what was pushed", "Push it again.")
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
