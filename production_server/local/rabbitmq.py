"""A private RabbitMQ node with its own folder, ports, name and password.

It runs the program of the system's rabbitmq-server package, but not its service and not on its
data. It also runs its own epmd, so nodes never meet and nothing is left running after a stop.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

from kombu import Connection

from production_server.errors import ServiceError
from production_server.messaging.link import CONNECTION_ERRORS
from production_server.settings import bare_environment

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_TIMEOUT = 90
STOP_TIMEOUT = 30
# The disk's limit is below what the jobs' store keeps free: new jobs are refused long before
# predictions (production_server/jobs/space.py). The log of chunks must fit into the rest.
LIMITS = "disk_free_limit.absolute = 10MB\nraft.wal_max_size_bytes = 33554432\n"
QUICK_START = Path(__file__).with_name("quick_start.erl")


def installed() -> bool:
    return SERVER.exists() and shutil.which("epmd") is not None


def install() -> None:
    """Install the system's package. This requires root."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServiceError(
            "RabbitMQ is not installed, and installing it requires root and apt-get",
            "As root, run: apt-get install rabbitmq-server. Or serve without --services.",
        )
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    # RUNLEVEL=1 keeps the package from starting its service.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in ("update", "install -y --no-install-recommends rabbitmq-server"):
        done = subprocess.run(
            [*apt, *command.split()], env=environment, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise ServiceError(
                f"apt-get {command} failed: {done.stderr.strip()[-300:]}",
                "Fix this and try again. Or serve without --services.",
            )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RabbitNode:
    """One node on 127.0.0.1. Durable queues stay in its folder for the next start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._password = secrets.token_urlsafe(24)
        self._epmd_port = free_port()
        self._dist_port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"amqp://stackserve:{self._password}@127.0.0.1:{self.port}//"

    @property
    def log(self) -> Path:
        return self.folder / "rabbitmq.log"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it without waiting: clients must retry until it accepts connections."""
        if not installed():
            raise ServiceError(
                "RabbitMQ is not installed on this machine",
                "As root, run: apt-get install rabbitmq-server. Or serve without --services.",
            )
        self._configure()
        self._spawn(["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        self._spawn([str(SERVER)])

    def wait(self) -> None:
        """Wait until a launched node accepts connections."""
        give_up = time.monotonic() + START_TIMEOUT
        while not self._accepts_connections():
            if not self._is_running() or time.monotonic() > give_up:
                self.stop()
                raise ServiceError(
                    f"RabbitMQ did not start: {_last_line(self.log)}", f"Its log: {self.log}"
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the node, then its epmd."""
        while self._processes:
            _stop(self._processes.pop())

    def kill(self) -> None:
        """Kill it as a power cut would. start() brings it back with its durable queues."""
        for process in self._processes:
            os.killpg(process.pid, 9)
            process.wait()
        self._processes.clear()

    def _configure(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self.folder / "rabbitmq.conf"
        if config.exists():
            for line in config.read_text().splitlines():
                key, _, value = line.partition(" = ")
                if key == "default_pass":
                    self._password = value
        config.touch(mode=0o600)
        config.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "default_user = stackserve\n"
            f"default_pass = {self._password}\n"
            f"{LIMITS}"
            "log.console = true\n"
            "log.console.level = warning\n"
            "log.file = false\n"
        )
        (self.folder / "enabled_plugins").write_text("[].\n")

    def environment(self) -> dict[str, str]:
        """The environment of its programs, such as rabbitmqctl."""
        folder = self.folder
        return {
            **bare_environment(),
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The data belongs to the node's name, so the name must not depend on the host's.
            "RABBITMQ_NODENAME": "stackserve@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "ERL_AFLAGS": "-eval 'file:eval(os:getenv(\"QUICK_START\"))'",
            "QUICK_START": str(QUICK_START),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none"
            ),
        }

    def _spawn(self, command: list[str]) -> None:
        with self.log.open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    env=self.environment(),
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C must reach only the program that owns this node.
                    start_new_session=True,
                )
            )

    def _is_running(self) -> bool:
        return bool(self._processes) and self._processes[-1].poll() is None

    def _accepts_connections(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.ensure_connection(max_retries=0)  # kombu would sleep 2 s before retrying
        except CONNECTION_ERRORS:
            return False
        return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, 15)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "its log is empty"
