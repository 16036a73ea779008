"""Change the model or the code of a deployed service while it serves, and go back, over ssh.

The programs on the server are `models` of the service, and stackserve-update for the code.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
from collections.abc import Callable, Sequence
from typing import IO, Any

from openstack_client.deploy.on_server import as_root, ask
from openstack_client.deploy.remote import NO_SUCH_VERB, Remote
from openstack_client.deploy.transfer import VERB
from openstack_client.errors import ContextualizationError, NotUpdated, ServerError
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget, failure

PROGRAM = "stackserve-update"
MISSING = 127
NO_CONNECTION = 255
TOO_OLD = ContextualizationError(
    "The server's role, or its older release, cannot change its code while it serves.",
    "Replace the server with `deploy --recreate`; to keep its jobs, `backup` before and `restore` "
    "after it.",
)
# Seconds; importing the libraries takes ten on an emulated processor.
TIMEOUT = 300.0


def send_code(target: SshTarget, payload: bytes, code: str, progress: Progress) -> None:
    """Let a server run this code. Returns once it does; otherwise it runs what it ran before."""
    words = ["code", "--sha256", hashlib.sha256(payload).hexdigest(), "--code", code]
    _stream(target, _program(words), io.BytesIO(payload), len(payload), progress, progress.note)


def code_back(target: SshTarget, progress: Progress) -> None:
    """Let a server run the code that it ran before the last update."""
    _stream(target, _program(["rollback"]), io.BytesIO(), 0, progress, progress.note)


def releases(target: SshTarget) -> dict[str, Any] | None:
    """The live code and the one before it; None if the server cannot tell."""
    done = ask(target, f"exec {PROGRAM} status", "Looking for its releases", TIMEOUT)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return found


def send_model(
    target: SshTarget, sent: IO[bytes], size: int, words: Sequence[str], progress: Progress
) -> dict[str, Any]:
    """Send a model to the service's gate, which adds it as a new version. Return what it says."""
    lines: list[str] = []
    script = f"exec {VERB} models receive - --json {shlex.join(words)}"
    _stream(target, script, sent, size, progress, lines.append)
    told: dict[str, Any] = json.loads("\n".join(lines))
    return told


def models(target: SshTarget, words: Sequence[str], progress: Progress) -> None:
    """Run a verb `models ...` of the service, and show what it prints."""
    script = f"exec {VERB} models {shlex.join(words)}"
    _stream(target, script, io.BytesIO(), 0, progress, progress.note)


def _program(words: Sequence[str]) -> str:
    return f"command -v {PROGRAM} >/dev/null || exit {MISSING}; exec {PROGRAM} {shlex.join(words)}"


def _stream(
    target: SshTarget,
    script: str,
    sent: IO[bytes],
    size: int,
    progress: Progress,
    heard: Callable[[str], None],
) -> None:
    with Remote.running(target, as_root(script), feed=True) as remote:
        remote.feed_from(sent, size, progress)
        progress.stage("sent", "done")
        for line in remote.lines():
            heard(line)
        code = remote.process.wait()
        if code:
            raise _reason(code, remote.complaints(), target.address)


def _reason(code: int, lines: list[str], address: str) -> Exception:
    said = "\n".join(lines)
    if code == NO_CONNECTION:
        return ServerError(
            f"The ssh connection to {address} failed: {failure(said.encode())}.",
            "What has begun is finished there, or undone. `status` shows what the server runs.",
        )
    if code == MISSING:
        return TOO_OLD
    if NO_SUCH_VERB in said:
        return ContextualizationError(
            "The server's code does not know this yet.", "Run `update --code` first."
        )
    for number, line in enumerate(lines):
        if line.lower().startswith("error: "):
            what, remedy = line[len("error: ") :], " ".join(lines[number + 1 :]).strip()
            return NotUpdated(f"{what[:1].upper()}{what[1:].rstrip('.')}.", remedy)
    return NotUpdated(
        f"The server could not do it: {failure(said.encode())}.",
        "Run `logs` or `ssh` to find out more.",
    )
