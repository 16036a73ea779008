"""Processes that a benchmark starts: their start, their tree, their memory, their end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil

STOP_SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """What was started by some commands, with everything that these started."""

    def __init__(
        self, commands: list[list[str]], folder: Path, environment: dict[str, str], log: Path
    ) -> None:
        self._folder = folder
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._seen: dict[int, psutil.Process] = {}
        with log.open("wb") as out:
            self._started = [
                psutil.Popen(
                    command,
                    cwd=folder,
                    env={**_inherited(), **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
                for command in commands
            ]

    def ended(self) -> bool:
        return any(process.poll() is not None for process in self._started)

    def wait(self) -> int:
        """The exit code of what ends by itself."""
        return max(int(process.wait()) for process in self._started)

    def tree(self) -> list[psutil.Process]:
        """Everything that runs, and remember it: a daemon may outlive its parent."""
        for process in self._started:
            if process.poll() is None:
                found = [psutil.Process(process.pid), *_children(process)]
                self._seen.update((one.pid, one) for one in found)
        return [process for process in self._seen.values() if process.is_running()]

    def memory_mb(self) -> float:
        """Resident memory, pages that processes share counted once."""
        return sum(proportional_bytes(process) for process in self.tree()) / 1e6

    def prioritize(self, niceness: int) -> None:
        for process in self.tree():
            prioritize(process.pid, niceness)

    def stop(self) -> None:
        """Ask, wait, and end what has not ended."""
        left = self.tree()
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(STOP_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
        for one in left:
            if one.is_running():
                _end(one)
        psutil.wait_procs(left, timeout=5)


def prioritize(pid: int, niceness: int) -> None:
    """Nice it, and its session: Linux shares the processor among sessions first."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
    except OSError as error:
        raise SystemExit(f"--nice {niceness} is not permitted here: {error}") from error


def _inherited() -> dict[str, str]:
    """This program's own module path is not for others."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def proportional_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _end(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
