"""The worker processes of the server itself, whose number its role's own program changes."""

from __future__ import annotations

import subprocess

from openstack_client.deploy.transfer import as_root
from openstack_client.errors import ContextualizationError, ServerError
from openstack_client.watch.ssh import QUIET, SshTarget, failure

# A worker that goes may be in the middle of a long chunk.
TIMEOUT = 300.0
PROGRAM = "stackserve-scale"
MISSING = 127


def run_workers(target: SshTarget, count: int) -> None:
    """Let the server run this number of workers. Returns once it does."""
    script = f"command -v {PROGRAM} >/dev/null || exit {MISSING}; exec {PROGRAM} {count}"
    try:
        done = subprocess.run(
            target.command(as_root(script), options=QUIET),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = "it took too long" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        raise ServerError(
            f"Cannot change the number of workers on {target.address}: {why}.",
            "Run `scale` again, or look with `status`.",
        ) from error
    if done.returncode == 255:
        raise ServerError(
            f"The ssh connection to {target.address} failed: {failure(done.stderr)}.",
            "Try `ssh`, which uses the same key and host key.",
        )
    if done.returncode == MISSING:
        raise ContextualizationError(
            "The server's role, or its older code, cannot change the number of workers.",
            "Use --worker-vms, or deploy it again with --recreate and --workers.",
        )
    if done.returncode:
        raise ContextualizationError(
            f"The server could not run {count} workers: {failure(done.stderr)}.",
            "Run `logs` or `ssh` to find out more.",
        )
