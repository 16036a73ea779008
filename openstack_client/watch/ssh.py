"""Connect to a server by ssh with the right key and user, and verify its host key."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


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

    def command(self, *more: str, options: Sequence[str] = ()) -> list[str]:
        """The ssh command line; `more` is the remote command."""
        jump = ["-J", self.via] if self.via else []
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
