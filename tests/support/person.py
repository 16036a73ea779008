"""A person with an empty home who uses the launcher on the lab, and the servers that come of it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cloud import ROOT, Ended, LabCloud, run

# Emulated guests, on a machine that may be testing something else besides.
PATIENCE = 3000


@dataclass
class Server:
    """A deployed server, and what its deploy told."""

    events: list[dict[str, Any]]

    def event(self, kind: str) -> dict[str, Any]:
        return next(event for event in self.events if event["event"] == kind)

    def ssh(self, command: str, timeout: float = 120) -> str:
        """As root, by the launcher's own way: right key, known host key, no question."""
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
class Person:
    """Runs the launcher of a checkout by `source demo-openrc.sh`, as the demo user."""

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
            PATIENCE + 1000,
            HOME=str(self.home),
            XDG_CONFIG_HOME=str(self.home / ".config"),
        )

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        """What a verb tells by --json; it must have gone well."""
        ended = self.run(*arguments, "--json")
        assert ended.code == 0, (ended.output + ended.errors)[-3000:]
        return [json.loads(line) for line in ended.output.splitlines() if line.startswith('{"')]
