"""How to reach a server by ssh: the right key, user and host key, and no blind trust."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Way:
    """Everything that ssh needs to know."""

    address: str
    user: str
    key: Path | None
    known_hosts: Path

    def command(self, *more: str, options: Sequence[str] = ()) -> list[str]:
        """The ssh command line; `more` is what to run there."""
        identity = ["-i", str(self.key), "-o", "IdentitiesOnly=yes"] if self.key else []
        return [
            "ssh",
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
    def words(self) -> str:
        """The command line to show to a person."""
        return shlex.join(self.command())

    def run(self, command: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run a command there without asking anything; raises OSError or TimeoutExpired."""
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={int(min(timeout, 10))}"]
        return subprocess.run(
            self.command(command, options=options),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
