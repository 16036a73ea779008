"""A VM without a cloud: QEMU, a NoCloud seed and user-mode networking.

For fast work on cloud-init/: the VM boots with the same user data as on Nova, in about a minute
and without OpenStack. Its ports are forwarded to 127.0.0.1 only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
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


LAB = Path(os.environ.get("STACKSERVE_LAB", "/var/lib/stackserve-lab"))


def image_of_lab() -> Path | None:
    """The newest disk of the lab's image, an ordinary cloud image that boots without a cloud."""
    disks = (LAB / "cache" / "guest").glob("*/disk.qcow2")
    return max(disks, key=lambda disk: disk.stat().st_mtime, default=None)


@dataclass(frozen=True)
class Marker:
    """A line on the console that reports a stage to the launcher."""

    stage: str
    state: str
    t: float
    detail: str


@dataclass
class Guest:
    """A VM with its own folder, as a context manager that stops it at the end."""

    folder: Path
    image: Path
    user_data: bytes
    port: int = 5100
    """The port of the service in the guest; `http_port` of 127.0.0.1 forwards to it."""
    http_port: int | None = None
    """Defaults to a free port."""
    more_ports: tuple[int, ...] = ()
    """More ports of the guest to forward; `forwards` maps them to ports of 127.0.0.1."""
    memory_mb: int = 3072
    cores: int = 2
    user: str = "debian"
    network: bool = True
    """False cuts off outgoing connections; forwarded ports still work."""
    forwards: dict[int, int] = field(default_factory=dict)
    shown: int = field(default=0, init=False)
    """The length of the console at the last reset."""

    def __enter__(self) -> Guest:
        self.folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(2 + len(self.more_ports))
        self.ssh_port = ports.pop()
        self.http_port = self.http_port or ports.pop()
        self.forwards = {22: self.ssh_port, self.port: self.http_port}
        self.forwards |= dict(zip(self.more_ports, ports, strict=False))
        self.key = self.folder / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "guest", "-f", str(self.key))
        run(
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "-F",
            "qcow2",
            "-b",
            str(self.image.resolve()),
            str(self.disk),
            "12G",
        )
        self._write_seed()
        self._switch_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.disk.unlink(missing_ok=True)

    def reset(self) -> None:
        """Switch it off and on, hard: what it has not synced is lost. The console continues."""
        self.process.kill()
        self.process.wait()
        self.shown = len(self.console())
        self._switch_on()

    def _switch_on(self) -> None:
        self.process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL)

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
        """Those since the last reset."""
        return [
            Marker(m["stage"], m["state"], float(m["t"]), m["detail"] or "")
            for m in MARKER.finditer(self.console()[self.shown :])
        ]

    def wait_for(self, stage: str, state: str, timeout: float) -> Marker:
        """Wait for a marker; raise AssertionError if a step fails or the time is up."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for marker in self.markers():
                if (marker.stage, marker.state) == (stage, state):
                    return marker
                if marker.state == "failed":
                    raise AssertionError(f"{marker.stage} failed: {marker.detail}")
            if self.process.poll() is not None:
                raise AssertionError(f"QEMU exited with {self.process.returncode}")
            time.sleep(0.5)
        tail = "\n".join(self.console().splitlines()[-15:])
        raise AssertionError(
            f"no {stage} {state} within {timeout:.0f} s; the console ends with:\n{tail}"
        )

    def ssh(
        self, command: str, timeout: float = 900, check: bool = True, given: bytes = b""
    ) -> str:
        """Run a shell command as the image's user, with the host keys printed on the console."""
        known = self.folder / "known_hosts"
        keys = HOST_KEY.findall(self.console())
        known.write_text("".join(f"[127.0.0.1]:{self.ssh_port} {key}\n" for key in keys))
        done = subprocess.run(
            [
                "ssh",
                "-i",
                str(self.key),
                "-p",
                str(self.ssh_port),
                "-o",
                "BatchMode=yes",
                "-o",
                f"UserKnownHostsFile={known}",
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "ConnectTimeout=20",
                f"{self.user}@127.0.0.1",
                command,
            ],
            input=given,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            said = done.stderr.decode().strip()
            raise AssertionError(f"{command!r} failed ({done.returncode}): {said}")
        return done.stdout.decode()

    def cpu_seconds(self) -> float:
        """CPU time of the whole guest, which does not depend on the load of this machine."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

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
        run(
            "genisoimage",
            "-quiet",
            "-output",
            str(self.folder / "seed.iso"),
            "-volid",
            "cidata",
            "-joliet",
            "-rock",
            str(seed / "user-data"),
            str(seed / "meta-data"),
        )

    def _command(self) -> list[str]:
        forwards = ",".join(
            f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.forwards.items()
        )
        closed = "" if self.network else ",restrict=on"
        return [
            "qemu-system-x86_64",
            "-machine",
            "q35",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "Haswell-noTSX",  # the oldest with AVX, which jax and tensorflow need
            "-smp",
            str(self.cores),
            "-m",
            str(self.memory_mb),
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-user-config",
            "-nodefaults",
            "-drive",
            f"file={self.disk},if=virtio,cache=unsafe",
            "-drive",
            f"file={self.folder / 'seed.iso'},if=virtio,format=raw,readonly=on",
            "-netdev",
            f"user,id=net0,{forwards}{closed}",
            "-device",
            "virtio-net-pci,netdev=net0",
            "-device",
            "virtio-rng-pci",
            "-chardev",
            f"file,id=console,path={self.console_file},append=on",
            "-serial",
            "chardev:console",
        ]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def certificates_of_host() -> str | None:
    """The CA certificates added to this machine; a guest behind the same proxy needs them."""
    folder = Path("/usr/local/share/ca-certificates")
    return "\n".join(_contents(folder)) or None


def _contents(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("**/*.crt")):
        yield path.read_text().strip()
