"""A deploy from beginning to end: facts, plan, making, waiting; and what an end leaves behind.

Until Nova has made the server ACTIVE, a failure or Ctrl-C removes what this run made, so
that nothing is left. From then on the deployment stays: the same command finishes it, and
`delete` takes it away.
"""

from __future__ import annotations

import secrets
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from openstack_client import userdata
from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Facts, Port, Server
from openstack_client.deploy.create import Maker
from openstack_client.deploy.delete import Remover, find
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.lease import Lease
from openstack_client.errors import LauncherError, PreflightError, Problem
from openstack_client.places import IMPORT_FOLDER, SERVER_COMMAND
from openstack_client.plan import baked_images, inventory, keypair
from openstack_client.plan.decide import decide
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Action, Parcel, Plan
from openstack_client.plan.security_group import HTTP_PORT
from openstack_client.settings import Settings
from openstack_client.watch.probe import base_url
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import Way
from openstack_client.watch.wait import ReadyWatch, until_active


@dataclass(frozen=True)
class Options:
    """What a person says about this one run."""

    keep: bool = False
    wait: bool = True
    recreate: bool = False
    take_over: bool = False


@dataclass
class Result:
    """What a deploy ended with."""

    name: str
    address: str
    server: str
    ready: bool
    ssh: str
    prediction: str = ""
    model: str = ""
    version: str = ""
    seconds: float = 0.0
    stages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{base_url(self.address)}/predictions"

    def as_json(self) -> dict[str, Any]:
        return {
            "event": "result",
            "name": self.name,
            "address": self.address,
            "url": self.url,
            "server": self.server,
            "ready": self.ready,
            "prediction": self.prediction,
            "model": self.model,
            "version": self.version,
            "ssh": self.ssh,
            "seconds": round(self.seconds, 1),
            "stages": self.stages,
        }


def parcel(
    settings: Settings, role: userdata.Role = userdata.Role.SERVER
) -> Parcel | list[Problem]:
    """The user data for these settings, or why there can be none."""
    try:
        context = userdata.UserDataContext(
            role=role,
            name=settings.name,
            code=userdata.read_code(IMPORT_FOLDER),
            model=_model(settings.model) if settings.model else None,
            port=HTTP_PORT,
            workers=settings.workers,
            ready_timeout=settings.timeout_ready,
            apt_mirror=settings.apt_mirror,
            apt_security_mirror=settings.apt_security_mirror,
            apt_proxy=settings.apt_proxy,
            pip_index_url=settings.pip_index,
            pip_extra_index_urls=tuple(settings.pip_extra_index),
            http_proxy=settings.http_proxy,
            https_proxy=settings.https_proxy,
            no_proxy=settings.no_proxy,
            ca_bundle=settings.ca_bundle.read_text("utf-8") if settings.ca_bundle else None,
        )
        rendered = userdata.render(context)
    except PreflightError as error:
        return [*error.problems, Problem("user data", error.what, error.remedy)]
    except ValidationError as error:
        return [
            Problem("user data", f"{'.'.join(map(str, item['loc']))}: {item['msg']}.")
            for item in error.errors()
        ]
    except (OSError, UnicodeDecodeError) as error:
        return [Problem("user data", f"a file cannot be read: {error}.")]
    recipe = baked_images.recipe(
        rendered.payload,
        rendered.code_hash,
        userdata.lock_file(context.code),
        userdata.template_files(),
    )
    told = userdata.cloud_init_schema(rendered.text) or []
    # What is only deprecated in the cloud-init of this machine may be all that an older one knows.
    deprecated = [problem for problem in told if "deprecat" in problem.what.lower()]
    if len(deprecated) < len(told):
        return [problem for problem in told if problem not in deprecated]
    return Parcel(
        rendered.data,
        rendered.code_hash,
        rendered.digest,
        rendered.payload,
        recipe,
        tuple(str(problem) for problem in deprecated),
    )


def _model(path: Path) -> tuple[userdata.CarriedFile, ...]:
    """The model's files, from a version's folder or from a .tar of one."""
    if path.is_dir():
        return userdata.read_model(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        except tarfile.TarError as error:
            raise PreflightError(
                f"{path} is neither a model folder nor a .tar of one ({error}).",
                f"Make one with `{SERVER_COMMAND} models export`.",
            ) from error
        cards = sorted(Path(folder).rglob("card.json"))
        return userdata.read_model(cards[0].parent if cards else Path(folder))


def make_plan(
    cloud: Cloud,
    settings: Settings,
    *,
    identity: Identity,
    folder: Path,
    ssh_folder: Path,
    recreate: bool = False,
    role: userdata.Role = userdata.Role.SERVER,
) -> tuple[Plan, Facts]:
    """Ask the cloud, then decide; the user data is rendered and checked while the cloud answers."""
    with ThreadPool(1) as aside:
        rendered = aside.apply_async(parcel, (settings, role))
        facts = queries.gather(cloud)
        carried = rendered.get()
    mine = inventory.pick(
        settings.name,
        identity.project_id,
        servers=facts.servers,
        groups=facts.groups,
        ports=facts.ports,
        addresses=facts.addresses,
        keypairs=facts.keypairs,
    )
    key = keypair.plan_key(
        settings.key,
        settings.name,
        facts.keypairs,
        project_id=identity.project_id,
        ssh_folder=ssh_folder,
        folder=folder,
    )
    plan = decide(
        settings,
        facts,
        mine,
        identity=identity,
        key=key,
        parcel=carried,
        recreate=recreate,
        stock_only=role is userdata.Role.IMAGE,
    )
    return plan, facts


def refuse(problems: Sequence[Problem]) -> None:
    if problems:
        count = "One thing stands" if len(problems) == 1 else f"{len(problems)} things stand"
        raise PreflightError(f"{count} in the way; nothing was made.", problems=problems)


@dataclass(kw_only=True)
class Launch:
    """One run of deploy."""

    cloud: Cloud
    settings: Settings
    plan: Plan
    folder: Path
    progress: Progress
    interrupts: Interrupts
    options: Options
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self.run_id = secrets.token_hex(4)
        self.maker = Maker(self.cloud, self.settings, self.plan, self.run_id, self.interrupts)
        self.lease = Lease(self.cloud, self.plan.name, self.run_id, self.sleep)
        self.stays = self.plan.server_action in {Action.FOUND, Action.START}

    def run(self) -> Result:
        """Make and wait; on any end but success, tidy up as the module's first lines say."""
        refuse(self.plan.problems)
        try:
            result = self._deploy()
        except (LauncherError, KeyboardInterrupt):
            self._tidy()
            raise
        self._release()
        return result

    def _deploy(self) -> Result:
        server, address = self._active_server()
        self.stays = True
        self.progress.stage("addressed", "done", address)
        way = self._way(address)
        result = Result(self.plan.name, address, server.id, False, way.words)
        assert self.plan.parcel is not None, "a plan without problems has user data"
        watch = ReadyWatch(
            cloud=self.cloud,
            server=server,
            way=way,
            payload=self.plan.parcel.payload,
            progress=self.progress,
            meanwhile=self.lease.renew,
            sleep=self.sleep,
        )
        if self.options.wait:
            probe = watch.until_it_predicts(self.settings.timeout_ready)
            result.ready, result.prediction = True, probe.words
            result.model, result.version = probe.model, probe.version
        else:
            watch.until_it_has_its_code(self.settings.timeout_ready)
        result.seconds, result.stages = self.progress.elapsed, self.progress.timeline()
        return result

    def _active_server(self) -> tuple[Server, str]:
        """Make what the plan says, up to a server that Nova calls ACTIVE; and its address."""
        port = self.maker.port()
        self.lease.wish(port.id)
        # A group of one's own can be made meanwhile; one that is there may be a rival's.
        fresh = None if self.plan.group else self.maker.group()
        self.lease.hold(self.options.take_over)
        self.maker.protect(port, fresh or self.maker.group())
        self.maker.keypair()
        server = self._server(port)
        self.progress.stage("requested", "done", server.id)
        floating = self.maker.address(port)
        address = floating.address if floating else port.address
        server = until_active(
            self.cloud,
            server,
            timeout=self.settings.timeout_build,
            progress=self.progress,
            meanwhile=self.lease.renew,
            sleep=self.sleep,
        )
        return server, address

    def _server(self, port: Port) -> Server:
        plan = self.plan
        if plan.server and plan.server_action is Action.REPLACE:
            self.progress.note(f"Replacing server {plan.server.name} ({plan.server.status}).")
            self._remover().remove(Inventory(plan.name, servers=(plan.server,)))
            keypair.known_hosts(self.folder, plan.name).unlink(missing_ok=True)
        elif plan.server:
            if plan.server_action is Action.START:
                self.maker.start(plan.server)
            return plan.server
        return self.maker.server(port)

    def _way(self, address: str) -> Way:
        private = self.plan.key.private if self.plan.key else None
        return Way(
            address, self.plan.ssh_user, private, keypair.known_hosts(self.folder, self.plan.name)
        )

    def _remover(self) -> Remover:
        return Remover(self.cloud, self.progress.note, self.sleep)

    def _release(self) -> None:
        with self.interrupts.shield():
            self.lease.release()

    def _tidy(self) -> None:
        """Leave either a deployment that can be resumed, or nothing of this run."""
        name = self.plan.name
        if self.stays or self.options.keep:
            why = "" if self.stays else " (--keep)"
            self.progress.note(
                f"What was made stays{why}: the same command goes on with it, "
                f"`delete {name}` takes it away."
            )
            self._release()
            return
        self.progress.note("Taking away what this run made ...")
        try:
            self._release()
            self._remover().remove(self._made())
        except LauncherError as error:
            self.progress.note(f"Something is left: {error.what} Run `delete {name}`.")
            return
        except KeyboardInterrupt:
            self.progress.note(f"Stopped before all of it was gone: run `delete {name}`.")
            raise
        if self.maker.made_keypair and self.plan.key and self.plan.key.generate:
            private = keypair.kept_key(self.folder, name)
            for path in (private, private.with_name(private.name + ".pub")):
                path.unlink(missing_ok=True)
        self.progress.note("Nothing of this run is left.")

    def _made(self) -> Inventory:
        """What this run made; keypairs do not say which run theirs was, but this one knows."""
        found = find(self.cloud, self.plan.name)
        pairs = found.keypairs if self.maker.made_keypair else ()
        return replace(found.made_by(self.run_id), keypairs=pairs)
