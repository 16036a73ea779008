"""Connect to a server by ssh with the right key and user, and verify its host key."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SSH_PORT = 22
CONNECT_TIMEOUT = 2.0
# How ssh spells the host it is to reach, for a ProxyCommand.
TARGET = "[%h]:%p"
# Without prompts, and without waiting for a host that does not answer.
# What ssh says if nothing answers at all, as behind a rule for another address.
NO_ANSWER = re.compile(r"port \d+: (Connection|Operation) timed out")
ANOTHER_ADDRESS = (
    "ssh may be open only to another address than the one this machine has now; `deploy` it again "
    "from here, or with --ssh-from"
)
QUIET = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")


# What ssh adds when a connection through another host ends; the reason comes before it.
AFTERMATH = (
    "stdio forwarding failed",
    "Connection closed by UNKNOWN",
    "kex_exchange_identification:",
)


def failure(printed: bytes) -> str:
    """Why a command failed: its line with `error:`, or else its last line that is a reason."""
    lines = [line.strip() for line in printed.decode("utf-8", "replace").strip().splitlines()]
    silent = next((line for line in lines if NO_ANSWER.search(line)), None)
    if silent:
        return f"{silent.rstrip('.')}; {ANOTHER_ADDRESS}"
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    reasons = [line for line in lines if not line.startswith(AFTERMATH)] or lines
    return next(iter([*errors, *reasons[-1:]]), "no reason given").rstrip(".")


def answers(host: str) -> bool:
    """Whether anything answers at the port for ssh, even if it refuses the connection."""
    try:
        with socket.create_connection((host, SSH_PORT), timeout=CONNECT_TIMEOUT):
            return True
    except TimeoutError:
        return False
    except OSError:
        return True


@dataclass(frozen=True)
class SshTarget:
    """The parameters of an ssh connection."""

    address: str
    user: str
    key: Path | None
    known_hosts: Path
    via: str | None = None
    """The jump host. Key and host key above are the server's; ssh's own configuration has those of
    the jump host."""
    through: SshTarget | None = None
    """The server of the same deployment by which this one is reached. Its host key is known too."""

    def command(self, *more: str, options: Sequence[str] = ()) -> list[str]:
        """The ssh command line; `more` is the remote command."""
        jump = ["-J", self.via] if self.via else []
        if self.through:
            # -J would check the host key and log in by the user's own configuration.
            proxy = self.through.command(options=[*QUIET, "-W", TARGET])
            words = [word if word == TARGET else word.replace("%", "%%") for word in proxy]
            jump = ["-o", f"ProxyCommand={shlex.join(words)}"]
        identity = ["-i", str(self.key), "-o", "IdentitiesOnly=yes"] if self.key else []
        return [
            "ssh",
            *jump,
            *identity,
            "-o",
            f"UserKnownHostsFile={self.known_hosts}",
            "-o",
            "StrictHostKeyChecking=yes",
            *options,
            f"{self.user}@{self.address}",
            *more,
        ]

    @property
    def first_host(self) -> str:
        """The server that this machine connects to itself; empty if only the jump host does."""
        if self.through:
            return self.through.first_host
        return "" if self.via else self.address

    @property
    def shell_command(self) -> str:
        """The command line, quoted for a shell."""
        return shlex.join(self.command())

    def run(self, command: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run a command on the server without prompts. Raises OSError or TimeoutExpired."""
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={int(min(timeout, 10))}"]
        return subprocess.run(
            self.command(command, options=options),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
