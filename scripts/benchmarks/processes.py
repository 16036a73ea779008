"""Start the processes of a system, measure their memory, and stop all of them."""

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


class ProcessGroup:
    """The processes of some commands, with all their descendants."""

    def __init__(
        self, commands: list[list[str]], folder: Path, environment: dict[str, str], log: Path
    ) -> None:
        self._folder = folder
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._known: dict[int, psutil.Process] = {}
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

    def any_exited(self) -> bool:
        return any(process.poll() is not None for process in self._started)

    def wait(self) -> int:
        """Wait for commands that end by themselves; return the highest exit code."""
        return max(int(process.wait()) for process in self._started)

    def tree(self) -> list[psutil.Process]:
        """The running processes; also remembers them, as a daemon may outlive its parent."""
        for process in self._started:
            if process.poll() is None:
                family = [psutil.Process(process.pid), *_children(process)]
                self._known.update((member.pid, member) for member in family)
        return [process for process in self._known.values() if process.is_running()]

    def memory_mb(self) -> float:
        """Resident memory, with pages that the processes share counted once."""
        return sum(proportional_bytes(process) for process in self.tree()) / 1e6

    def prioritize(self, niceness: int) -> None:
        for process in self.tree():
            prioritize(process.pid, niceness)

    def stop(self) -> None:
        """Terminate the commands, then kill what still runs."""
        running = self.tree()
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(STOP_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
        for member in running:
            if member.is_running():
                _kill(member)
        psutil.wait_procs(running, timeout=5)


def prioritize(pid: int, niceness: int) -> None:
    """Set the niceness of a process and its session: Linux divides CPU time by session first."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
    except OSError as error:
        raise SystemExit(f"--nice {niceness} is not permitted here: {error}") from error


def _inherited() -> dict[str, str]:
    """The environment without PYTHONPATH, which is meant for this program alone."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return children


def proportional_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def cpu_seconds(process: psutil.Process) -> float:
    """The CPU time that it has used; 0 once it has ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
