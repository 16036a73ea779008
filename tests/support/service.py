"""Run the whole service as a user would, on a free port and in its own folder."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from production_server.access.policy import Scope
from production_server.access.tokens import Tokens
from production_server.local.rabbitmq import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 120
STOP_SECONDS = 40
SHIPPED = "diabetes-1.*"
# The machine code of the shipped model, by file name. Compiling takes half of a service's start, so
# the first service of a test run does it for all.
compiled: dict[str, bytes] = {}


def operator(home: Path) -> dict[str, str]:
    """The header of a new token with every scope, for the service with this home."""
    tokens = Tokens(home / "access")
    plain = tokens.create(f"test-{secrets.token_hex(4)}", frozenset(Scope), None)
    return {"Authorization": f"Bearer {plain}"}


class Service:
    """`python3 -m production_server serve ...` as a context manager."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        command: tuple[str, ...] = ("-m", "production_server"),
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = folder / "home"
        self._code = self.home / "models" / ".compiled"
        self.output = folder / "serve.log"
        self._command = [sys.executable, *command, "serve", "--port", str(self.port), *arguments]
        self.environment = {
            **{name: value for name, value in os.environ.items() if name[:11] != "STACKSERVE_"},
            "STACKSERVE_HOME": str(self.home),
            **(settings or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._bring_code()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.wait_ready()
        self._keep_code()

    def _bring_code(self) -> None:
        if compiled and not self._code.exists():
            self._code.mkdir(mode=0o700, parents=True)
            for name, code in compiled.items():
                (self._code / name).write_bytes(code)

    def _keep_code(self) -> None:
        if not compiled:
            compiled.update({file.name: file.read_bytes() for file in self._code.glob(SHIPPED)})

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                if httpx.get(f"{self.url}/ready", timeout=10).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                logs = self.logs()
                self.stop()
                raise AssertionError(f"the service did not become ready:\n{logs}")
            time.sleep(0.2)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, by default that of Ctrl-C; return the exit code."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()
            raise

    def logs(self) -> str:
        """The end of the output and of each process's log."""
        files = sorted((self.home / "logs").glob("*.log")) if self.home.exists() else []
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in files]
        return self.output.read_text(errors="replace")[-4000:] + "\n".join(tails)

    def processes(self, verb: str) -> list[psutil.Process]:
        """The running web, worker or recorder processes (with --services)."""
        assert self.process is not None
        processes = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                command = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if "production_server" in command and verb in command:
                processes.append(child)
        return processes

    def memory_mb(self, verb: str) -> float:
        """The memory of the largest of these processes."""
        return max(child.memory_info().rss for child in self.processes(verb)) / 1e6

    def verb(self, *arguments: str) -> str:
        """Run another command with this service's settings."""
        done = subprocess.run(
            [sys.executable, "-m", "production_server", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
