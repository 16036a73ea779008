"""The tokens of a deployed service, by the service's own verb `tokens`, over ssh."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from openstack_client.deploy.transfer import NO_SUCH_VERB, VERB, as_root
from openstack_client.errors import ContextualizationError, ServerError, SettingsError
from openstack_client.watch.ssh import QUIET, SshTarget, failure

# Importing the libraries takes ten seconds on an emulated processor.
TIMEOUT = 120.0
USER_ERROR = "Error: "


def tokens(target: SshTarget, words: Sequence[str]) -> str:
    """What the verb prints. It holds a new token in clear, so it must not be logged."""
    command = as_root(f"exec {VERB} tokens {shlex.join(words)}")
    try:
        done = subprocess.run(
            target.command(command, options=QUIET),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = "took too long" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        raise ServerError(
            f"`tokens {words[0]}` on {target.address} failed: {why}.",
            "Try `ssh`, which uses the same key and host key.",
        ) from error
    if done.returncode:
        raise _failed(target, words[0], done)
    return done.stdout.decode()


def _failed(
    target: SshTarget, verb: str, done: subprocess.CompletedProcess[bytes]
) -> ServerError | SettingsError | ContextualizationError:
    printed = done.stderr.decode("utf-8", "replace")
    if done.returncode == 255:
        return ServerError(
            f"The ssh connection to {target.address} failed: {failure(done.stderr)}.",
            "Try `ssh`, which uses the same key and host key.",
        )
    if NO_SUCH_VERB in printed:
        return ContextualizationError(
            "The server's code does not know tokens.", "Deploy it again with --recreate."
        )
    what, _, remedy = printed.strip().partition("\n")
    if what.startswith(USER_ERROR):
        # The service's own words about its tokens.
        said = what.removeprefix(USER_ERROR)
        return SettingsError(f"{said[:1].upper()}{said[1:]}.", f"{remedy.strip().rstrip('.')}.")
    return ContextualizationError(
        f"`tokens {verb}` failed on the server: {failure(done.stderr)}.",
        "Run `logs` or `ssh` to find out more.",
    )
