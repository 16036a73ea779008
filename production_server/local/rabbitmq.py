"""A private RabbitMQ node: own folder, ports, name and password, gone when it is stopped.

It uses the system's rabbitmq-server package, but neither its service nor its data, and an epmd
of its own, so that nothing of it outlives it and two of them never meet.
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
QUICK_START = Path(__file__).with_name("quick_start.erl")


def installed() -> bool:
    return SERVER.exists() and shutil.which("epmd") is not None


def install() -> None:
    """Install the system's package; only root may."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServiceError(
            "RabbitMQ is not installed, and only root can install it",
            "Ask for: apt-get install rabbitmq-server; or serve without --services.",
        )
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    # RUNLEVEL=1 keeps the package from starting a node of its own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in ("update", "install -y --no-install-recommends rabbitmq-server"):
        done = subprocess.run(
            [*apt, *command.split()], env=environment, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise ServiceError(
                f"apt-get {command} failed: {done.stderr.strip()[-300:]}",
                "Correct that and try again; or serve without --services.",
            )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RabbitNode:
    """One node on 127.0.0.1. Its folder may be kept: a new start finds its queues again."""

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
        """Start and wait until it takes connections."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start; whoever connects before it is there has to try again."""
        if not installed():
            raise ServiceError(
                "RabbitMQ is not installed on this machine",
                "As root: apt-get install rabbitmq-server; or serve without --services.",
            )
        self._configure()
        self._spawn(["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        self._spawn([str(SERVER)])

    def wait(self) -> None:
        """Until it takes connections; it must have been launched."""
        give_up = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if not self._lives() or time.monotonic() > give_up:
                self.stop()
                raise ServiceError(
                    f"RabbitMQ did not start: {_last_line(self.log)}", f"Its log: {self.log}"
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """End the node, then its epmd."""
        while self._processes:
            _end(self._processes.pop())

    def kill(self) -> None:
        """End it as a power cut would; start() brings it back with what was durable."""
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
            "log.console = true\n"
            "log.console.level = warning\n"
            "log.file = false\n"
        )
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            **bare_environment(),
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The data is bound to the node's name: one name, whatever the host is called.
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
                    env=self._environment(),
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # A Ctrl-C at the terminal is for the program that owns this node.
                    start_new_session=True,
                )
            )

    def _lives(self) -> bool:
        return bool(self._processes) and self._processes[-1].poll() is None

    def _answers(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.ensure_connection(max_retries=0)  # else it would sleep 2 s in between
        except CONNECTION_ERRORS:
            return False
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, 15)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"
