"""Use the launcher on the lab as a user with an empty home, and log in to the servers."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cloud import ROOT, Ended, LabCloud, run

# Guests are emulated, and the machine may run other tests.
DEPLOY_SECONDS = 3000


@dataclass
class Server:
    """A deployed server, and the events that its deploy reported."""

    events: list[dict[str, Any]]

    def event(self, kind: str) -> dict[str, Any]:
        return next(event for event in self.events if event["event"] == kind)

    def ssh(self, command: str, timeout: float = 120) -> str:
        """Run a command as root, with the ssh command line that the launcher reported."""
        login = shlex.split(self.event("result")["ssh"])
        done = subprocess.run(
            [login[0], "-o", "BatchMode=yes", *login[1:], f"sudo sh -c {shlex.quote(command)}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@dataclass
class LabUser:
    """Runs the launcher of a checkout as the demo user, after `source demo-openrc.sh`."""

    cloud: LabCloud
    home: Path
    checkout: Path = ROOT

    def run(self, *arguments: str) -> Ended:
        return self.command(sys.executable, "-m", "openstack_client", *arguments)

    def command(self, *words: str) -> Ended:
        steps = (
            [".", str(self.cloud.layout.folder / "demo-openrc.sh")],
            ["cd", str(self.checkout)],
            words,
        )
        return run(
            ["bash", "-c", " && ".join(map(shlex.join, steps))],
            DEPLOY_SECONDS + 1000,
            HOME=str(self.home),
            XDG_CONFIG_HOME=str(self.home / ".config"),
        )

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command with --json, check that it succeeds, and return its events."""
        ended = self.run(*arguments, "--json")
        assert ended.code == 0, (ended.output + ended.errors)[-3000:]
        return [json.loads(line) for line in ended.output.splitlines() if line.startswith('{"')]
