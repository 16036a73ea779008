"""Keeps a few processes running: restarts those that exit, and stops them all at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from production_server.local.console import Console
from production_server.places import IMPORT_FOLDER

STOP_SECONDS = 15
# A process that ran this long had started properly: reset its restart delay.
HEALTHY_SECONDS = 30.0
LONGEST_PAUSE = 30.0


@dataclass
class Child:
    """One process and the state of its restarts."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = field(default_factory=time.monotonic)


def pause_after(failures: int) -> float:
    """Seconds before the next start: 0.5, 1, 2, ... at most LONGEST_PAUSE."""
    return float(min(0.5 * 2 ** max(0, failures - 1), LONGEST_PAUSE))


def end_group(leader: int) -> None:
    """End what a process that was killed has left behind: nginx's workers would keep its port."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGTERM)


class Supervisor:
    """Keeps its child processes running until it is stopped."""

    def __init__(self, environment: dict[str, str], logs: Path, console: Console) -> None:
        self._environment = environment
        self._logs = logs
        self._console = console
        self._children: list[Child] = []
        self._stopping = threading.Event()

    def add(self, name: str, command: list[str]) -> None:
        self._children.append(Child(name, command))

    def pids(self) -> dict[str, int]:
        return {
            child.name: child.process.pid
            for child in self._children
            if child.process is not None and child.process.poll() is None
        }

    def stop_soon(self) -> None:
        """Make run() stop everything and return. Safe to call in a signal handler."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def run(self) -> None:
        """Start everything and keep it running until stop_soon()."""
        try:
            while not self._stopping.is_set():
                for child in self._children:
                    self._check(child)
                self._stopping.wait(0.2)
        finally:
            self._stop_all()

    def _check(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            lived = now - child.started
            child.failures = 1 if lived > HEALTHY_SECONDS else child.failures + 1
            pause = pause_after(child.failures)
            self._console.step(
                f"{child.name} exited with code {child.process.returncode}; restarting it in "
                f"{pause:g} s; its log: {self._log(child)}"
            )
            end_group(child.process.pid)
            child.process, child.due = None, now + pause
        if child.process is None and now >= child.due:
            self._start(child)

    def _start(self, child: Child) -> None:
        with self._log(child).open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                env=self._environment,
                cwd=IMPORT_FOLDER,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C must reach only this process, which then stops the others.
                start_new_session=True,
            )
        child.started = time.monotonic()

    def _log(self, child: Child) -> Path:
        return self._logs / f"{child.name}.log"

    def _stop_all(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        give_up = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
