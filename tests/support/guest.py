"""A VM without a cloud: QEMU, a NoCloud seed and user-mode networking.

The inner loop of work on cloud-init/: the same user data as Nova would get, in about a
minute, without OpenStack. Ports of the guest appear on 127.0.0.1 alone.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MARKER = re.compile(
    r"STACKSERVE stage=(?P<stage>\S+) state=(?P<state>\S+) t=(?P<t>[\d.]+)"
    r'(?: detail="(?P<detail>[^"\r\n]*)")?'
)
HOST_KEY = re.compile(r"STACKSERVE-HOSTKEY (\S+ \S+)")
PROGRAMS = ("qemu-system-x86_64", "qemu-img", "genisoimage", "ssh", "ssh-keygen")


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


@dataclass(frozen=True)
class GuestImage:
    """An image without a boot loader: kernel and initrd stand beside it."""

    disk: Path
    kernel: Path
    initrd: Path


@dataclass(frozen=True)
class Marker:
    """One line that the VM wrote for its launcher."""

    stage: str
    state: str
    t: float
    detail: str


@dataclass
class Guest:
    """One VM in a folder of its own. Use as a context manager: it is gone afterwards."""

    folder: Path
    image: GuestImage
    user_data: bytes
    port: int = 5100
    memory_mb: int = 3072
    cores: int = 2
    user: str = "debian"
    network: bool = True
    """False: no route out of the guest; its ports can still be reached."""
    files: Mapping[str, str] = field(default_factory=dict)

    def __enter__(self) -> Guest:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.http_port, self.ssh_port = free_ports(2)
        self.key = self.folder / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "guest", "-f", str(self.key))
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2",
            "-b", str(self.image.disk.resolve()), str(self.disk), "12G")  # fmt: skip
        self._write_seed()
        self.process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.disk.unlink(missing_ok=True)

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def console_file(self) -> Path:
        return self.folder / "console.log"

    def console(self) -> str:
        if not self.console_file.exists():
            return ""
        return self.console_file.read_text("utf-8", "replace")

    def markers(self) -> list[Marker]:
        return [
            Marker(m["stage"], m["state"], float(m["t"]), m["detail"] or "")
            for m in MARKER.finditer(self.console())
        ]

    def wait_for(self, stage: str, state: str, timeout: float) -> Marker:
        """Until the marker is there; AssertionError when another step fails or time is up."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            for marker in self.markers():
                if (marker.stage, marker.state) == (stage, state):
                    return marker
                if marker.state == "failed":
                    raise AssertionError(f"{marker.stage} failed: {marker.detail}")
            if self.process.poll() is not None:
                raise AssertionError(f"QEMU ended with {self.process.returncode}")
            time.sleep(0.5)
        tail = "\n".join(self.console().splitlines()[-15:])
        raise AssertionError(
            f"no {stage} {state} within {timeout:.0f} s; the console's end:\n{tail}"
        )

    def ssh(self, command: str, timeout: float = 120, check: bool = True) -> str:
        """Run a shell command as the image's user; its host key is the console's, or no login."""
        known = self.folder / "known_hosts"
        keys = HOST_KEY.findall(self.console())
        known.write_text("".join(f"[127.0.0.1]:{self.ssh_port} {key}\n" for key in keys))
        done = subprocess.run(
            ["ssh", "-i", str(self.key), "-p", str(self.ssh_port), "-o", "BatchMode=yes",
             "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes",
             "-o", "ConnectTimeout=20", f"{self.user}@127.0.0.1", command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
            check=False)  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(f"{command!r} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _write_seed(self) -> None:
        seed = self.folder / "seed"
        seed.mkdir(exist_ok=True)
        meta = {
            "instance-id": f"i-{self.folder.name}",
            "local-hostname": "guest",
            "public-keys": {"guest": self.key.with_suffix(".pub").read_text().strip()},
        }
        (seed / "meta-data").write_text(json.dumps(meta))
        (seed / "user-data").write_bytes(self.user_data)
        run("genisoimage", "-quiet", "-output", str(self.folder / "seed.iso"), "-volid", "cidata",
            "-joliet", "-rock", str(seed / "user-data"), str(seed / "meta-data"))  # fmt: skip

    def _command(self) -> list[str]:
        forwards = f"hostfwd=tcp:127.0.0.1:{self.http_port}-:{self.port}"
        forwards += f",hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        closed = "" if self.network else ",restrict=on"
        return [
            "nice", "-n", "5",
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", str(self.cores), "-m", str(self.memory_mb), "-display", "none",
            "-monitor", "none", "-no-user-config", "-nodefaults",
            "-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd),
            "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0",
            "-drive", f"file={self.disk},if=virtio,cache=unsafe",
            "-drive", f"file={self.folder / 'seed.iso'},if=virtio,format=raw,readonly=on",
            "-netdev", f"user,id=net0,{forwards}{closed}",
            "-device", "virtio-net-pci,netdev=net0",
            "-device", "virtio-rng-pci",
            "-serial", f"file:{self.console_file}",
        ]  # fmt: skip


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def certificates_of_host() -> str | None:
    """What this machine trusts besides its system's own: a guest behind it must, too."""
    folder = Path("/usr/local/share/ca-certificates")
    return "\n".join(_contents(folder)) or None


def _contents(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("**/*.crt")):
        yield path.read_text().strip()
