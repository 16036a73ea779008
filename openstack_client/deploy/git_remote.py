"""Let an ssh key push to a server with git, and let a development server push to production."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openstack_client.deploy.on_server import ask
from openstack_client.errors import ContextualizationError, ServerError
from openstack_client.watch.ssh import SshTarget, failure

PROGRAM = "stackserve-git"
DEVELOPMENT = "stackserve-dev"
MISSING = 127
# The first key installs git, on a small server from a slow mirror.
TIMEOUT = 600.0
# The program on the development server ends by itself before that.
TRY_TIMEOUT = 60.0


@dataclass(frozen=True)
class Remote:
    """A repository that a key may push to, and how to recognize its server."""

    name: str
    address: str
    account: str
    path: str
    fingerprint: str
    changed: bool
    host_keys: tuple[str, ...]
    """Lines of a known_hosts file."""

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"ssh://{self.account}@{host}{self.path}"


def add_key(target: SshTarget, name: str, public: str, *, code: bool) -> Remote:
    """Let this public key push to the server's repository. Doing it again changes nothing."""
    flags = ["--allow-code"] if code else []
    words = shlex.join(["add-key", name, *flags, "--json"])
    script = f"printf '%s\\n' {shlex.quote(public.strip())} | {PROGRAM} {words}"
    told = _run(target, PROGRAM, script, "Allowing the key", TIMEOUT)
    lines = target.known_hosts.read_text(encoding="utf-8").splitlines()
    known = tuple(line for line in lines if line.split(" ", 1)[0] == target.address)
    return Remote(
        name=name,
        address=target.address,
        account=str(told["account"]),
        path=str(told["path"]),
        fingerprint=str(told["fingerprint"]),
        changed=bool(told["changed"]),
        host_keys=known,
    )


def remove_key(target: SshTarget, name: str) -> bool:
    """Let the key with this name push no longer. Returns whether there was one."""
    words = shlex.join(["remove-key", name, "--json"])
    told = _run(target, PROGRAM, f"{PROGRAM} {words}", "Removing the key", TIMEOUT)
    return bool(told["changed"])


def public_key(development: SshTarget) -> str:
    """The key that a development server made for pushes."""
    script = f"{DEVELOPMENT} public-key"
    return str(_run(development, DEVELOPMENT, script, "Reading its key", TRY_TIMEOUT)["public"])


def point(development: SshTarget, remote: Remote) -> None:
    """Tell a development server where production is, and let it try that."""
    lines = shlex.quote("\n".join(remote.host_keys))
    words = shlex.join(["production", remote.url])
    script = f"printf '%s\\n' {lines} | {DEVELOPMENT} {words}"
    told = _run(development, DEVELOPMENT, script, "Setting its remote", TRY_TIMEOUT)
    if not told["reached"]:
        raise ServerError(
            f"{development.address} cannot reach {remote.url}: {told['why']}.",
            f"Let it in: deploy production again with --ssh-from {development.address}/32 beside "
            "your own network.",
        )


def ssh_command(target: SshTarget, key: Path | None) -> str:
    """What git must call instead of plain ssh, so that it has the key and trusts the server."""
    identity = ["-i", str(key), "-o", "IdentitiesOnly=yes"] if key else []
    jump = ["-J", target.via] if target.via else []
    known = ["-o", f"UserKnownHostsFile={target.known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    return shlex.join(["ssh", *jump, *identity, *known])


def _run(target: SshTarget, program: str, script: str, doing: str, timeout: float) -> Any:
    found = f"command -v {program} >/dev/null || exit {MISSING}; {script}"
    done = ask(target, found, doing, timeout)
    if done.returncode == MISSING:
        raise ContextualizationError(
            f"The server has no program {program}: its role does not include it, or its code is "
            "older.",
            "See docs/git-push.md, or deploy it again with --recreate.",
        )
    return _told(done, doing)


def _told(done: subprocess.CompletedProcess[bytes], doing: str) -> Any:
    if done.returncode:
        raise ContextualizationError(
            f"{doing} failed on the server: {failure(done.stderr)}.",
            "Run `logs` or `ssh` to find out more.",
        )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise ContextualizationError(
            f"{doing} failed: the server did not answer with JSON.",
            "Its code is older or newer than this verb.",
        ) from error
