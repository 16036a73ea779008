"""A command's session: its settings, credentials, cloud client and output."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from openstack_client import settings
from openstack_client.cli.tables import plan_json, show_plan
from openstack_client.cloud import credentials
from openstack_client.cloud.client import Cloud, region_of
from openstack_client.cloud.credentials import Source
from openstack_client.cloud.login import Identity, login
from openstack_client.cloud.queries import addresses, groups, keypairs, ports, servers
from openstack_client.cloud.resources import Facts, Server
from openstack_client.deploy.delete import find
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.errors import (
    CredentialsError,
    Interrupted,
    NoDeployment,
    SettingsError,
)
from openstack_client.names import listed, nearest
from openstack_client.plan.inventory import USER_KEY, Inventory, deployment_names, part_of
from openstack_client.plan.keypair import known_hosts, private_of, short
from openstack_client.plan.make import make_plan, refuse
from openstack_client.plan.model import Plan
from openstack_client.roles import Role
from openstack_client.settings import Settings
from openstack_client.watch import stages as stage_names
from openstack_client.watch.progress import Progress, display
from openstack_client.watch.ssh import SshTarget

CLOUD_FLAGS = (
    "os_cloud",
    "os_region_name",
    "os_interface",
    "os_cacert",
    "insecure",
    "settings_path",
    "as_json",
    "named",
)

PIPE_WIDTH = 200


@dataclass
class Session:
    """Everything a command needs."""

    settings: Settings
    env: Mapping[str, str]
    source: Source
    cloud: Cloud
    as_json: bool
    console: Console

    @property
    def folder(self) -> Path:
        """The local folder for this project: other projects may reuse a deployment's name."""
        return settings.config_folder(self.settings, self.env) / short(self.cloud.project_id)

    @property
    def ssh_folder(self) -> Path:
        return Path(self.env.get("HOME", "~")).expanduser() / ".ssh"

    @property
    def name(self) -> str:
        return self.settings.name

    def login(self) -> Identity:
        if self.source.ignored and not self.as_json:
            ignored = ", ".join(self.source.ignored)
            _to_stderr(f"Using {self.source.description}; ignoring {ignored}.")
        return login(self.cloud, self.source)

    def plan(
        self,
        identity: Identity,
        *,
        settings: Settings | None = None,
        recreate: bool = False,
        role: Role | None = None,
        scaling: bool = False,
        silent: Mapping[str, str] | None = None,
    ) -> tuple[Plan, Facts]:
        """The plan, and the facts it is based on."""
        return make_plan(
            self.cloud,
            settings or self.settings,
            identity=identity,
            folder=self.folder,
            ssh_folder=self.ssh_folder,
            recreate=recreate,
            role=role,
            scaling=scaling,
            silent=silent,
        )

    def begin(self, identity: Identity, plan: Plan) -> None:
        """Show the plan that is about to run. Raises PreflightError if it has problems."""
        if self.as_json:
            click.echo(json.dumps({"event": "plan", **plan_json(plan, self.source.description)}))
        else:
            self.show(identity, plan)
        refuse(plan.problems)

    def show(self, identity: Identity, plan: Plan) -> None:
        self.say(
            f"Project {identity.project!r} as {identity.user!r}, using {self.source.description}."
        )
        show_plan(self.console, plan)

    def confirm(self, question: str, yes: bool, why: str = "") -> None:
        """Ask whether to continue; `yes` skips the question. Raises Interrupted on no."""
        if yes:
            return
        if self.as_json or not sys.stdin.isatty():
            raise SettingsError(
                f"{why} Cannot ask for confirmation without a terminal.".lstrip(),
                "Add --yes to confirm.",
            )
        try:
            confirmed = click.confirm(question)
        except click.Abort as stop:
            raise Interrupted("Stopped. Nothing was deleted.") from stop
        if not confirmed:
            raise Interrupted("Not confirmed. Nothing was deleted.")

    @contextmanager
    def showing(
        self,
        interrupts: Interrupts,
        title: str,
        stages: Sequence[str] = stage_names.DEPLOY,
        began: float | None = None,
    ) -> Iterator[Progress]:
        """Show the progress of the block on a suitable display."""
        shown = display(self.as_json, sys.stdout, title, stages, began=began)
        progress = Progress(shown, began=began)
        self.cloud.note = interrupts.note = progress.note
        try:
            yield progress
        except KeyboardInterrupt as stop:
            raise Interrupted("Stopped by Ctrl-C.") from stop
        finally:
            progress.close()

    def answer(self, content: Any) -> None:
        """Print the command's JSON output."""
        click.echo(json.dumps(content, indent=2))

    def say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def inventory(self) -> Inventory:
        """The deployment's resources. Raises NoDeployment if there are none."""
        found = find(self.cloud, self.name)
        if found.servers or found.groups or found.ports or found.addresses:
            return found
        raise no_deployment(self.cloud, self.name)

    def the_server(self, mine: Inventory, worker: str | None = None) -> Server:
        """The front end, or one of its worker VMs."""
        if worker:
            return self._the_worker(mine, worker)
        if mine.front:
            return mine.front
        raise NoDeployment(
            f"Deployment {self.name!r} has no server: an earlier run did not finish.",
            "Run deploy to finish it, or delete to remove it.",
        )

    def _the_worker(self, mine: Inventory, worker: str) -> Server:
        named = mine.worker_named(worker)
        servers = mine.part(named).servers if named else ()
        if servers:
            return servers[0]
        raise NoDeployment(
            f"Deployment {self.name!r} has no worker VM {worker!r}.",
            f"It has: {listed(mine.workers)}.",
        )

    def ssh_target(self, mine: Inventory, server: Server) -> SshTarget:
        """How to connect to the server by ssh. Worker VMs are reached through the front end."""
        part, front = part_of(server), mine.front
        through = self.ssh_target(mine, front) if part and front else None
        pairs = [pair for pair in keypairs(self.cloud) if pair.name == server.key_name]
        folders = [self.ssh_folder, self.folder / "keys"]
        private = self._given_key() or (private_of(pairs[0].public_key, folders) if pairs else None)
        return SshTarget(
            mine.address_of(server),
            server.metadata.get(USER_KEY, "debian"),
            private,
            known_hosts(self.folder, self.name, part),
            None if through else self.settings.ssh_via,
            through,
        )

    def _given_key(self) -> Path | None:
        if not self.settings.key:
            return None
        path = Path(self.settings.key).expanduser()
        path = path.with_suffix("") if path.suffix == ".pub" else path
        return path if path.is_file() else None


def no_deployment(cloud: Cloud, name: str) -> NoDeployment:
    """The error for a missing deployment, with the names that exist."""
    names = deployment_names(servers(cloud), groups(cloud), ports(cloud), addresses(cloud))
    what = f"No deployment named {name!r} in this project."
    if not names:
        return NoDeployment(what, "There are no deployments yet; `deploy` creates one.")
    guess = nearest(name, names)
    meant = f"Did you mean {guess!r}? " if guess else ""
    return NoDeployment(what, f"{meant}Available: {listed(names)}.")


def find_source(flags: Mapping[str, Any]) -> Source | None:
    """The credentials to use, or None if no cloud is configured."""
    env = settings.environment()
    return credentials.find(env, flags.get("os_cloud"), Path.cwd(), _overrides(flags))


def require_source(flags: Mapping[str, Any]) -> Source:
    """The credentials to use. Raises CredentialsError if no cloud is configured."""
    source = find_source(flags)
    if source is None:
        raise CredentialsError(
            "No OpenStack credentials found: no OS_* variables and no clouds.yaml.",
            "Run `source YOUR-openrc.sh`, or save clouds.yaml in ~/.config/openstack.",
        )
    return source


def open_session(
    flags: dict[str, Any],
    *,
    source: Source | None = None,
    note: Callable[[str], None] | None = None,
) -> Session:
    """Read the settings and prepare the cloud client."""
    env = settings.environment()
    source = source or require_source(flags)
    overrides = _overrides(flags)
    if source.kind == "clouds.yaml" and env.get("OS_REGION_NAME"):
        overrides.setdefault("region_name", env["OS_REGION_NAME"])
    merged = read_settings(flags, env, source.file)
    as_json = bool(flags.get("as_json"))
    _quiet_libraries()
    cloud = Cloud(
        region_of(source, overrides),
        timeout=merged.timeout_api,
        retries=merged.retries,
        note=note or _to_stderr,
    )
    return Session(merged, env, source, cloud, as_json, output())


def read_settings(
    flags: Mapping[str, Any], env: Mapping[str, str], clouds_file: Path | None
) -> Settings:
    """The settings from flags, environment and file."""
    given = {key: value for key, value in flags.items() if key not in CLOUD_FLAGS}
    named = flags.get("named")
    if named and given.get("name") and named != given["name"]:
        raise SettingsError(f"Two different names: {named!r} and --name {given['name']!r}.")
    if named:
        given["name"] = named
    file = settings.settings_file(flags.get("settings_path"), env, Path.cwd(), clouds_file)
    return settings.merge(given, env, file)[0]


def _overrides(flags: Mapping[str, Any]) -> dict[str, Any]:
    pairs = {
        "region_name": flags.get("os_region_name"),
        "interface": flags.get("os_interface"),
        "cacert": flags.get("os_cacert"),
        "insecure": True if flags.get("insecure") else None,
        "verify": False if flags.get("insecure") else None,
    }
    return {key: value for key, value in pairs.items() if value is not None}


def output() -> Console:
    """Use the terminal's width; in a pipe, do not wrap lines."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def _quiet_libraries() -> None:
    """Silence the clients' warnings: our errors say more."""
    for name in ("keystoneauth", "keystoneclient", "novaclient", "openstack", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="urllib3|openstack|keystone|novaclient")


def _to_stderr(text: str) -> None:
    click.echo(text, err=True)
