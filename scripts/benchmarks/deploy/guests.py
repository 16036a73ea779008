"""Create and delete servers with any user data, using the launcher's own code."""

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
from openstack_client.cloud.resources import Port
from openstack_client.deploy.delete import Deleter, delete_files, find, local_files
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.run import Built, Launch, Options
from openstack_client.errors import CloudError
from openstack_client.plan import choices
from openstack_client.plan.make import make_plan, refuse
from openstack_client.plan.model import Parcel, ServerPlan
from openstack_client.watch.progress import PlainDisplay, Progress

# Benchmark servers are short-lived, so their host keys are not checked.
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
    """A server in the state ACTIVE."""

    address: str
    login: list[str]
    """The ssh command line, without the command to run."""
    requested: float
    """When the create request was sent, by time.monotonic()."""

    def ssh(self, command: str, timeout: float = 30) -> str | None:
        """Run a command and return its output, or None if that fails."""
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
        """Bytes that the server has received since it booted."""
        counters = self.ssh(RECEIVED)
        return sum(int(count) for count in counters.split()) if counters else None


class BareLaunch(Launch):
    """A launch that ends when the server has an address, without waiting for the service."""

    requested = 0.0

    def _request(self, front_port: Port, member: ServerPlan) -> Built:
        self.requested = time.monotonic()
        return super()._request(front_port, member)

    def guest(self) -> Guest:
        refuse(self.plan.problems)
        _, address = self._active_server()
        private = self.plan.key.private if self.plan.key else None
        identity = ["-i", str(private), "-o", "IdentitiesOnly=yes"] if private else []
        login = ["ssh", *identity, *SSH, f"{self.plan.front.ssh_user}@{address}"]
        self._release()
        return Guest(address, login, self.requested)


def sourced_cloud(name: str) -> Session:
    """Open a launcher session on the sourced cloud."""
    return open_session({"name": name})


def stock_image(session: Session) -> str:
    """The id of the image that a deploy would use without a baked one."""
    choice = choices.image(session.settings.image, queries.gather(session.cloud))
    if choice.value is None:
        raise CloudError("There is no stock image.", problems=list(choice.problems))
    return choice.value.id


@contextmanager
def guest(name: str, data: bytes, image: str | None = None) -> Iterator[Guest]:
    """Create a server with this user data, by default on the stock image; delete it at the end."""
    session = sourced_cloud(name)
    settings = session.settings.model_copy(update={"image": image or stock_image(session)})
    plan, _ = make_plan(
        session.cloud,
        settings,
        identity=session.login(),
        folder=session.folder,
        ssh_folder=session.ssh_folder,
    )
    front = plan.front
    front.parcel = dataclasses.replace(front.parcel or Parcel(b"", "", ""), data=data)
    interrupts = Interrupts()
    with interrupts.installed():
        launch = BareLaunch(
            cloud=session.cloud,
            settings=settings,
            plan=plan,
            folder=session.folder,
            progress=Progress(PlainDisplay(sys.stderr)),
            interrupts=interrupts,
            options=Options(),
        )
        try:
            yield launch.guest()
        finally:
            remove(session, name)


def remove(session: Session, name: str) -> None:
    """Delete everything that belongs to a deployment."""
    Deleter(session.cloud, lambda text: None).delete(find(session.cloud, name))
    delete_files(local_files(session.folder, name))


def login_command(command: str) -> list[str]:
    """The launcher's ssh command line, with the host key check turned off."""
    first, *rest = shlex.split(command)
    return [first, *SSH, *rest]
