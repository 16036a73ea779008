"""The worker processes of the server itself, whose number its role's own program changes."""

from __future__ import annotations

from openstack_client.deploy.on_server import ask
from openstack_client.errors import ContextualizationError
from openstack_client.watch.ssh import SshTarget, failure

# A worker that goes may be in the middle of a long chunk.
TIMEOUT = 300.0
PROGRAM = "stackserve-scale"
MISSING = 127


def run_workers(target: SshTarget, count: int) -> None:
    """Let the server run this number of workers. Returns once it does."""
    script = f"command -v {PROGRAM} >/dev/null || exit {MISSING}; exec {PROGRAM} {count}"
    done = ask(target, script, "Changing the number of workers", TIMEOUT)
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
