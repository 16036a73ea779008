"""A Docker engine of one's own, for the tests and the benchmarks.

It runs in a network namespace, so its bridges, firewall rules and published ports are invisible to
the rest of this machine, and gone when it ends. It needs root, and the packages below.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

# A program, and the Debian package that contains it.
PACKAGES = {
    "/usr/sbin/dockerd": "docker.io",
    "/usr/bin/docker-compose": "docker-compose",
    "/usr/bin/mmdebstrap": "mmdebstrap",
    "/usr/sbin/nft": "nftables",
}
# Debian's own, which can build images without a plugin. Another may come first in PATH.
DOCKER = "/usr/bin/docker"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
START_SECONDS = 60
STOP_SECONDS = 60
BASE = "stackserve-base:test"


class EngineError(Exception):
    """The engine does not do what it was asked for."""


def missing_package() -> str:
    """The package that an engine lacks on this machine; "" if it can run."""
    return next((name for path, name in PACKAGES.items() if not Path(path).exists()), "")


class Engine:
    """`dockerd` as a context manager. Published ports are reachable at `address`."""

    def __init__(self, folder: Path, number: int = 0) -> None:
        self.folder = folder
        self.name = f"ssengine{number}"
        # Of the addresses that are reserved for tests between networks.
        self.host_address = f"198.18.{200 + number}.1"
        self.address = f"198.18.{200 + number}.2"
        self._socket = folder / "docker.sock"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._forwarding = ""

    def __enter__(self) -> Engine:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._connect()
        command = [
            *self.inside(),
            "dockerd",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'pid'}",
            f"--host=unix://{self._socket}",
            # The containers' network is none of this machine's own.
            "--bip=172.30.0.1/24",
            "--default-address-pool=base=172.31.0.0/16,size=24",
        ]
        with (self.folder / "dockerd.log").open("ab") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > until:
                raise EngineError(f"dockerd does not start:\n{self.log()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End the engine with all its containers, and delete what it has stored."""
        if self._daemon is not None:
            self._daemon.terminate()
            try:
                self._daemon.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
            self._daemon = None
        self._disconnect()
        shutil.rmtree(self.folder, ignore_errors=True)

    def inside(self) -> list[str]:
        """What to put before a command that runs in the engine's network."""
        # `ip netns exec` would mount another /sys, without the cgroups that dockerd needs.
        return ["nsenter", f"--net=/run/netns/{self.name}", "--"]

    @property
    def environment(self) -> dict[str, str]:
        """For programs that talk to this engine, such as docker-compose."""
        return {
            **os.environ,
            "DOCKER_HOST": f"unix://{self._socket}",
            "DOCKER_CONFIG": str(self.folder / "config"),
            "DOCKER_BUILDKIT": "1",
            "BUILDKIT_PROGRESS": "plain",
        }

    def docker(self, *arguments: str, feed: bytes | None = None, timeout: float = 600) -> str:
        """Run `docker`; return what it prints. Raises EngineError with its messages."""
        return self.run([DOCKER, *arguments], feed=feed, timeout=timeout)

    def run(
        self,
        command: Sequence[str],
        *,
        feed: bytes | None = None,
        timeout: float = 600,
        folder: Path | None = None,
        more: Mapping[str, str] | None = None,
    ) -> str:
        """Run a program that talks to this engine, in the engine's network."""
        done = subprocess.run(
            [*self.inside(), *command],
            env={**self.environment, **(more or {})},
            cwd=folder,
            input=feed,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        if done.returncode != 0:
            output = (done.stdout + done.stderr).decode(errors="replace")
            raise EngineError(f"{' '.join(command)}: exit code {done.returncode}\n{output[-6000:]}")
        return done.stdout.decode()

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.docker("inspect", name))[0]
        return found

    def import_base(self, tag: str = BASE) -> None:
        """Make an image of Debian with Python, as no registry may be reachable."""
        packages = "--include=python3,ca-certificates"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", "-"]
        made = subprocess.run(command, capture_output=True, check=False)
        if made.returncode != 0:
            raise EngineError(f"mmdebstrap: {made.stderr.decode(errors='replace')[-2000:]}")
        self.docker("import", "-", tag, feed=made.stdout)

    def build(self, context: Path, target: str, tag: str, *more: str, base: str = BASE) -> None:
        """Build one of the images of production_server/Dockerfile."""
        self.docker(
            "build",
            f"--build-arg=BASE={base}",
            f"--secret=id=authorities,src={AUTHORITIES}",
            f"--file={context / 'production_server' / 'Dockerfile'}",
            f"--target={target}",
            f"--tag={tag}",
            *more,
            str(context),
            timeout=1200,
        )

    def files(self, image: str) -> dict[str, tarfile.TarInfo]:
        """Everything in an image's file system, by path."""
        container = self.docker("create", image).strip()
        try:
            exported = subprocess.run(
                [*self.inside(), DOCKER, "export", container],
                env=self.environment,
                capture_output=True,
                check=True,
            )
        finally:
            self.docker("rm", container)
        with tarfile.open(fileobj=BytesIO(exported.stdout)) as tar:
            return {member.name: member for member in tar}

    def log(self) -> str:
        return (self.folder / "dockerd.log").read_text(errors="replace")[-4000:]

    def _answers(self) -> bool:
        try:
            self.docker("version", timeout=10)
        except (EngineError, subprocess.TimeoutExpired):
            return False
        return True

    def _connect(self) -> None:
        """Connect a new namespace to this machine, and through it to the package index."""
        self._disconnect()
        _ip("netns", "add", self.name)
        _ip("link", "add", self.name, "type", "veth", "peer", "name", "uplink", "netns", self.name)
        _ip("address", "add", f"{self.host_address}/30", "dev", self.name)
        _ip("link", "set", self.name, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "address", "add", f"{self.address}/30", "dev", "uplink")
        _ip("-n", self.name, "link", "set", "uplink", "up")
        _ip("-n", self.name, "route", "add", "default", "via", self.host_address)
        rules = f"""table ip {self.name} {{
          chain outgoing {{
            type nat hook postrouting priority srcnat;
            ip saddr {self.address} oifname != "{self.name}" masquerade
          }}
        }}"""
        subprocess.run(["nft", "-f", "-"], input=rules.encode(), check=True)
        self._forwarding = FORWARDING.read_text().strip()
        FORWARDING.write_text("1\n")

    def _disconnect(self) -> None:
        if self._forwarding == "0":
            FORWARDING.write_text("0\n")
        for command in (
            ["nft", "delete", "table", "ip", self.name],
            ["ip", "link", "delete", self.name],
            ["ip", "netns", "delete", self.name],
        ):
            subprocess.run(command, capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
