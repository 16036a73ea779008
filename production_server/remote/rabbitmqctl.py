"""RabbitMQ's own command, which starts a second Erlang each time: call it as rarely as possible."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from production_server.errors import ServiceError
from production_server.remote.access import VHOST

# Seconds. On an emulated CPU that does other work, starting it can take two minutes.
TIMEOUT = 300


@dataclass(frozen=True)
class RabbitMQ:
    """A RabbitMQ node on this machine and the virtual host of the service."""

    program: str = "rabbitmqctl"
    environment: dict[str, str] | None = None
    vhost: str = VHOST
    timeout: float = TIMEOUT

    def run(self, *arguments: str, given: str = "") -> str:
        """Run the command. Secrets go to its standard input: every user can read arguments."""
        try:
            done = subprocess.run(
                [self.program, "--quiet", *arguments],
                env=self.environment,
                input=given,
                capture_output=True,
                text=True,
                check=False,
                timeout=self.timeout,
            )
        except subprocess.TimeoutExpired:
            raise ServiceError(
                f"rabbitmqctl {arguments[0]} did not end within {self.timeout:g} s",
                "Try again when this machine is less busy.",
            ) from None
        if done.returncode != 0:
            raise ServiceError(
                f"rabbitmqctl {arguments[0]} failed: {(done.stderr or done.stdout).strip()}",
                "Check that RabbitMQ runs: systemctl status rabbitmq-server",
            )
        return done.stdout

    def define(self, definitions: dict[str, Any]) -> None:
        """Add what the definitions describe, and change what exists."""
        self.run("import_definitions", given=json.dumps(definitions))

    def rows(self, what: str, *columns: str) -> list[dict[str, Any]]:
        """What RabbitMQ lists of its virtual host, such as the queues."""
        text = self.run(f"list_{what}", "--formatter", "json", "--vhost", self.vhost, *columns)
        rows: list[dict[str, Any]] = json.loads(text)
        return rows
