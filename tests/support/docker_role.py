"""A server of the role docker without its machine: the role's own programs and Compose files, in
their places, with a real engine. Only `ssh` and `sudo` are stand-ins.

The programs see a file system of their own, in which /etc and /opt are changed, so they leave
nothing on this machine.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from openstack_client.watch.ssh import SshTarget
from tests.support.compose import START_SECONDS, eventually_ready
from tests.support.images import Images
from tests.support.service import ROOT

ROLE = ROOT / "cloud-init" / "roles" / "docker"
ADDRESS = "192.0.2.1"
PORT = 5100
ENTER = """\
#!/bin/sh
set -eu
{variables}
exec {inside} unshare --mount sh -euc '
    mount --bind {checkout} {folder}/checkout
    mount -t overlay overlay -o lowerdir=/etc,upperdir={folder}/etc,workdir={folder}/work /etc
    mount -t tmpfs tmpfs /opt
    mkdir -p /opt/stackserve/app
    mount --bind {folder}/checkout /opt/stackserve/app
    mount --bind {folder}/programs /usr/local/sbin
    exec "$@"' sh "$@"
"""
# Skips its options and the address.
SSH = """\
#!/bin/sh
while [ "$1" != debian@{address} ]; do shift; done
shift
exec {enter} sh -c "$*"
"""
SUDO = '#!/bin/sh\nshift; exec "$@"\n'


class DockerRole:
    """What the launcher reaches by ssh."""

    def __init__(self, images: Images, folder: Path) -> None:
        self.folder = folder
        self.images = images
        self.url = f"http://{images.engine.address}:{PORT}"
        self.target = SshTarget(ADDRESS, "debian", None, folder / "known_hosts")
        # What belongs in front of PATH, for the launcher.
        self.bin = folder / "bin"
        for name in ("bin", "checkout", "etc/stackserve", "programs", "work"):
            (folder / name).mkdir(parents=True)
        self._place()

    def _place(self) -> None:
        for program in (ROLE / "bin").iterdir():
            shutil.copy(program, self.folder / "programs" / program.name)
            (self.folder / "programs" / program.name).chmod(0o755)
        ours = self.folder / "etc" / "stackserve"
        # There is no journal here. All else is as on a server.
        text = (ROLE / "compose.yml").read_text().replace("journald", "json-file")
        (ours / "compose.yml").write_text(text)
        (ours / "containers.env").write_text("STACKSERVE_ACCESS=token\n")
        (ours / "workers").write_text("1\n")
        engine = self.images.engine
        known = {name: engine.environment[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG")}
        known |= {
            "STACKSERVE_IMAGE": self.images.image,
            "STACKSERVE_BROKER_IMAGE": self.images.broker,
        }
        enter = ENTER.format(
            variables="\n".join(f"export {name}={shlex.quote(known[name])}" for name in known),
            inside=shlex.join(engine.inside()),
            checkout=ROOT,
            folder=self.folder,
        )
        self._program(self.folder / "enter", enter)
        self._program(self.folder / "programs" / "sudo", SUDO)
        self._program(self.bin / "ssh", SSH.format(address=ADDRESS, enter=self.folder / "enter"))

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *words: str, feed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a program as root on the server."""
        command: Sequence[str] = [str(self.folder / "enter"), *words]
        return subprocess.run(command, input=feed, capture_output=True, check=False, timeout=300)

    def done(self, *words: str, feed: bytes = b"") -> str:
        """What the program prints. It has to succeed."""
        ended = self.run(*words, feed=feed)
        assert ended.returncode == 0, (ended.stdout + ended.stderr).decode()[-4000:]
        return ended.stdout.decode()

    def wait_ready(self) -> None:
        eventually_ready(self.url, lambda: self.done("stackserve-compose", "logs", "--tail=30"))

    def status(self, path: str, token: str = "", **parameters: object) -> int:
        header = {"Authorization": f"Bearer {token}"} if token else {}
        given = {name: str(value) for name, value in parameters.items()}
        answer = httpx.get(self.url + path, headers=header, params=given, timeout=START_SECONDS)
        return answer.status_code


@contextmanager
def docker_role(images: Images) -> Iterator[DockerRole]:
    """Start the containers as the role's unit does; delete them and their volumes at the end."""
    # Not in /tmp, which may be in memory, where an overlay of /etc may not be.
    with tempfile.TemporaryDirectory(prefix="role-", dir="/var/tmp") as folder:
        server = DockerRole(images, Path(folder))
        try:
            server.done("stackserve-scale")
            server.wait_ready()
            yield server
        finally:
            server.run("stackserve-compose", "down", "--volumes", "--timeout=10")
