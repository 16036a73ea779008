"""A deployment with worker VMs on the fake hypervisor, which several tests share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.lab.deploy import conftest
from tests.lab.deploy.conftest import Launcher
from tests.support import lab_project
from tests.support.faulty_network import FaultyNetwork
from tests.support.lab_project import Project

NAME = "stackserve-stackserve"
# Fake guests do not boot, so nothing joins and nothing can be drained.
QUICK = ("--no-wait", "--no-drain", "--yes")


@dataclass
class Team:
    """A deployment, with the launcher that changes it and the project it is in."""

    launcher: Launcher
    project: Project

    def scale(self, count: int | None = None, *flags: str, code: int = 0) -> str:
        """Scale, expect the exit code, and return the output."""
        wanted = [] if count is None else ["--worker-vms", str(count)]
        return self.words(self.launcher.run("scale", *QUICK, *wanted, *flags), code)

    def words(self, ended: Result, code: int = 0) -> str:
        words = self.launcher.words(ended)
        assert ended.exit_code == code, words
        assert "Traceback" not in words
        return words

    def json(self, *arguments: str) -> Any:
        return json.loads(self.launcher.run(*arguments, "--json").stdout)

    @property
    def servers(self) -> dict[str, Any]:
        """The servers by the ends of their names; empty for the front end."""
        found = self.project.connection().compute.servers()
        return {server.name.removeprefix(NAME).strip("-"): server for server in found}

    @property
    def ids(self) -> dict[str, str]:
        return {name: server.id for name, server in self.servers.items()}

    @property
    def ports(self) -> dict[str, str]:
        found = self.project.connection().network.ports(project_id=self.project.id)
        return {port.device_id: port.id for port in found if port.name.startswith(NAME)}

    @property
    def groups(self) -> dict[str, Any]:
        """The security groups by the ends of their names."""
        found = self.project.connection().network.security_groups(project_id=self.project.id)
        return {
            group.name.removeprefix(NAME).strip("-"): group
            for group in found
            if group.name.startswith(NAME)
        }

    @property
    def server_groups(self) -> list[Any]:
        return list(self.project.connection().compute.server_groups())

    def admitted(self, group: str) -> set[tuple[int, str]]:
        """The ports and sources of a security group's rules."""
        rules = self.groups[group].security_group_rules
        return {
            (rule["port_range_min"], rule["remote_group_id"] or rule["remote_ip_prefix"])
            for rule in rules
            if rule["direction"] == "ingress"
        }


@contextmanager
def deployed(
    project: Project, network: FaultyNetwork, folder: Path, count: int
) -> Iterator[tuple[Team, list[Any]]]:
    """A deployment with this many worker VMs, and the events of its deploy."""
    with pytest.MonkeyPatch.context() as patch:
        conftest.prepare(patch, folder)
        team = Team(conftest.launcher_of(project, network, folder), project)
        flags = ("--no-wait", "--worker-vms", str(count), "--json")
        ended = team.launcher.run("deploy", *flags)
        team.words(ended)
        yield team, [json.loads(line) for line in ended.stdout.splitlines()]
        lab_project.empty(project)
