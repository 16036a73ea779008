"""The tokens of a deployed service, by the service's own verb `tokens`, over ssh."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from openstack_client.deploy.on_server import ask
from openstack_client.deploy.remote import NO_SUCH_VERB
from openstack_client.deploy.transfer import VERB
from openstack_client.errors import ContextualizationError, SettingsError
from openstack_client.watch.ssh import SshTarget, failure

# Importing the libraries takes ten seconds on an emulated processor.
TIMEOUT = 120.0
USER_ERROR = "Error: "


def tokens(target: SshTarget, words: Sequence[str]) -> str:
    """What the verb prints. It holds a new token in clear, so it must not be logged."""
    script = f"exec {VERB} tokens {shlex.join(words)}"
    done = ask(target, script, f"`tokens {words[0]}`", TIMEOUT)
    if done.returncode:
        raise _failed(words[0], done)
    return done.stdout.decode()


def _failed(
    verb: str, done: subprocess.CompletedProcess[bytes]
) -> SettingsError | ContextualizationError:
    printed = done.stderr.decode("utf-8", "replace")
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
