"""Run a short command on a server over ssh, as root."""

from __future__ import annotations

import shlex
import subprocess

from openstack_client.errors import ServerError
from openstack_client.watch.ssh import QUIET, SshTarget, failure

NO_CONNECTION = 255
TRY_SSH = "Try `ssh`, which uses the same key and host key."


def as_root(script: str) -> str:
    """The command that runs a shell script on the server as root."""
    return f"sudo -n sh -c {shlex.quote(script)}"


def ask(
    target: SshTarget, script: str, doing: str, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """What the script printed, and its exit code. Raises ServerError if it did not run to its end.

    Its output may be secret, so no message has it.
    """
    try:
        done = subprocess.run(
            target.command(as_root(script), options=QUIET),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = "it took too long" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        raise ServerError(f"{doing} on {target.address} failed: {why}.", TRY_SSH) from error
    if done.returncode == NO_CONNECTION:
        raise ServerError(
            f"The ssh connection to {target.address} failed: {failure(done.stderr)}.", TRY_SSH
        )
    return done
