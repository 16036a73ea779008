"""A deployment's removal by its own server, played from this machine."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from openstack_client import lifetime
from openstack_client.cloud.client import Cloud, region_of
from openstack_client.cloud.credentials import Source
from openstack_client.deploy import credential, self_removal
from openstack_client.places import TEMPLATES
from openstack_client.plan.inventory import EXPIRES_KEY
from openstack_client.plan.removal import Endpoints, Removal
from tests.support.lab_project import Project

PROGRAM = TEMPLATES / "removal" / "remove.py"
PAST, FUTURE = "2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


def program() -> ModuleType:
    """The program as a module, to run its steps one by one."""
    spec = importlib.util.spec_from_file_location("remove", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Remover:
    """A server's credential and configuration, as the launcher makes them."""

    def __init__(self, project: Project, folder: Path, name: str = "stackserve") -> None:
        values = {key.removeprefix("OS_").lower(): value for key, value in project.env.items()}
        source = Source("environment", "the tests", values=values)
        self.cloud = Cloud(region_of(source, {}), timeout=60, retries=2, note=print)
        self.project = project
        self.folder = folder
        servers = project.connection().compute.servers()
        # The front end; the names of worker VMs are longer.
        server = next(found for found in servers if found.name == f"stackserve-{name}")
        self.removal: Removal = self_removal.plan_removal(self.cloud, name, server.id)
        self.endpoints: Endpoints = self_removal.find_endpoints(self.cloud)
        made, self.secret = credential.create(
            self.cloud, self.removal, self.endpoints, lifetime.now()
        )
        self.id = made.id

    @property
    def config(self) -> dict[str, Any]:
        files = self_removal.files(self.cloud, self.removal, self.endpoints, self.id, self.secret)
        content: dict[str, Any] = json.loads(files[self_removal.SECRETS][1])
        return content

    def expire(self, moment: str = PAST) -> None:
        compute = self.project.connection().compute
        compute.set_server_metadata(self.removal.server.id, **{EXPIRES_KEY: moment})

    def run(
        self, inside: Callable[[list[str]], list[str]] = list
    ) -> subprocess.CompletedProcess[str]:
        """One run of the timer."""
        (self.folder / "removal.json").write_text(json.dumps(self.config))
        variable = f"CREDENTIALS_DIRECTORY={self.folder}"
        return subprocess.run(
            inside(["env", variable, sys.executable, "-I", str(PROGRAM)]),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def login(self) -> Any:
        """A session with the credential."""
        own = v3.ApplicationCredential(
            self.endpoints.identity,
            application_credential_id=self.id,
            application_credential_secret=self.secret,
        )
        return session.Session(auth=own)

    def status(self, method: str, url: str, body: object = None) -> int:
        """How an API answers to the credential."""
        try:
            answer = self.login().request(url, method, json=body)
        except exceptions.HttpError as error:
            return int(error.http_status)
        return int(answer.status_code)
