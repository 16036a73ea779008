"""A server with any user data, made and removed by the launcher's own parts."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from openstack_client.cli.session import Session, open_session
from openstack_client.cloud import queries
from openstack_client.cloud.resources import Port, Server
from openstack_client.deploy.delete import Deleter, delete_files, find, local_files
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.run import Launch, Options
from openstack_client.errors import CloudError
from openstack_client.plan import choices
from openstack_client.plan.make import make_plan, refuse
from openstack_client.plan.model import Parcel
from openstack_client.watch.progress import PlainDisplay, Progress

# Servers of a benchmark come and go: their host keys are of no interest.
SSH = [
    "-o",
    "BatchMode=yes",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
    "-o",
    "ConnectTimeout=5",
]
RECEIVED = "cat /sys/class/net/e*/statistics/rx_bytes"


@dataclass
class Guest:
    """A server that Nova calls ACTIVE."""

    address: str
    login: list[str]
    """ssh's command line, up to the command."""
    requested: float
    """When Nova was asked for it, by time.monotonic()."""

    def ssh(self, command: str, timeout: float = 30) -> str | None:
        """What a command says there; None when it cannot be run yet."""
        try:
            done = subprocess.run(
                [*self.login, command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None

    def received(self) -> int | None:
        """Bytes that the server has received since it was switched on."""
        told = self.ssh(RECEIVED)
        return sum(int(line) for line in told.split()) if told else None


class Bare(Launch):
    """A launch that ends when the server has an address, and waits for nothing on it."""

    requested = 0.0

    def _server(self, port: Port) -> Server:
        self.requested = time.monotonic()
        return super()._server(port)

    def guest(self) -> Guest:
        refuse(self.plan.problems)
        _, address = self._active_server()
        private = self.plan.key.private if self.plan.key else None
        identity = ["-i", str(private), "-o", "IdentitiesOnly=yes"] if private else []
        login = ["ssh", *identity, *SSH, f"{self.plan.ssh_user}@{address}"]
        self._release()
        return Guest(address, login, self.requested)


def session(name: str) -> Session:
    """The sourced cloud, as the launcher sees it."""
    return open_session({"name": name})


def stock_image(at: Session) -> str:
    """The id of the image that a deploy would take if none were baked."""
    choice = choices.image(at.settings.image, queries.gather(at.cloud))
    if choice.value is None:
        raise CloudError("There is no stock image.", problems=list(choice.problems))
    return choice.value.id


@contextmanager
def guest(name: str, data: bytes, image: str | None = None) -> Iterator[Guest]:
    """A server with this user data, on the stock image if none is named; gone afterwards."""
    at = session(name)
    settings = at.settings.model_copy(update={"image": image or stock_image(at)})
    plan, _ = make_plan(
        at.cloud, settings, identity=at.login(), folder=at.folder, ssh_folder=at.ssh_folder
    )
    plan.parcel = dataclasses.replace(plan.parcel or Parcel(b"", "", ""), data=data)
    interrupts = Interrupts()
    with interrupts.installed():
        launch = Bare(
            cloud=at.cloud,
            settings=settings,
            plan=plan,
            folder=at.folder,
            progress=Progress(PlainDisplay(sys.stderr)),
            interrupts=interrupts,
            options=Options(),
        )
        try:
            yield launch.guest()
        finally:
            remove(at, name)


def remove(at: Session, name: str) -> None:
    """Take away all of a deployment."""
    Deleter(at.cloud, lambda text: None).delete(find(at.cloud, name))
    delete_files(local_files(at.folder, name))


def login_of(words: str) -> list[str]:
    """The ssh command line that the launcher told, without its host key check."""
    first, *rest = shlex.split(words)
    return [first, *SSH, *rest]
