"""The supervisor, process 1 of the lab: starts units in order and restarts daemons.

In its PID namespace it reaps all processes. When it ends, the kernel kills the others.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from openstack_lab import control, health
from openstack_lab.process import GOOD, Process, State
from openstack_lab.unit import Unit, dependents, from_json, in_order

TICK = 0.1
# Seconds between checks of a ready daemon. On a loaded machine one may fail, but not three.
RECHECK = 10.0
MISSES = 3
# Seconds that guests and other processes have to exit after the daemons.
LAST_PATIENCE = 5.0


class Supervisor:
    """Starts and checks the units in a loop. A lock serializes it with the socket's threads."""

    def __init__(self, units_file: Path, logs: Path, markers: Path) -> None:
        self.units_file, self.logs, self.markers = units_file, logs, markers
        self.processes: dict[str, Process] = {}
        self.checks: dict[str, Future[bool]] = {}
        self.checked: dict[str, float] = {}
        self.misses: dict[str, int] = {}
        self.pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="check")
        self.lock = threading.Lock()
        self.stopping = False

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Handle a `status`, `apply`, `restart` or `stop` request."""
        with self.lock:
            match request.get("verb"):
                case "apply":
                    self.apply(from_json(self.units_file.read_text()))
                case "restart":
                    self.restart(str(request["name"]))
                case "stop":
                    self.stopping = True
            return {"units": [process.report() for process in self.processes.values()]}

    def apply(self, units: list[Unit]) -> None:
        """Run these units: stop removed ones, restart changed ones, retry failed ones."""
        wanted = {unit.name: unit for unit in in_order(units)}
        changed = [
            process
            for name, process in self.processes.items()
            if name not in wanted or process.unit.fingerprint != wanted[name].fingerprint
        ]
        self._end(changed)
        for process in changed:
            del self.processes[process.unit.name]
        for name, unit in wanted.items():
            old = self.processes.get(name)
            if old:
                old.restarts = 0
                if old.state is State.FAILED and not old.pid:
                    old.again()
                continue
            self.processes[name] = Process(
                unit, log=self.logs / f"{name}.log", marker=self.markers / name
            )
            self._renew_after(name)
        self.processes = {name: self.processes[name] for name in wanted}

    def restart(self, name: str) -> None:
        self._end([self.processes[name]])
        self.processes[name].again()
        self._renew_after(name)

    def loop(self) -> None:
        while not self.stopping:
            with self.lock:
                self._reap()
                for process in self.processes.values():
                    self._advance(process)
            time.sleep(TICK)
        with self.lock:
            self._end([r for r in self.processes.values() if not r.unit.keeps_data])
            self._end([r for r in self.processes.values() if r.unit.keeps_data])
            if os.getpid() == 1:
                self._end_all()

    def _advance(self, process: Process) -> None:
        now = time.monotonic()
        if process.state is State.FAILED and not process.unit.is_task and not process.pid:
            process.enter(State.WAITING, process.reason)
        if process.state is State.WAITING and now >= process.not_before:
            if process.already_done():
                process.enter(State.DONE)
            elif all(self.processes[name].state in GOOD for name in process.unit.requires):
                process.start()
        elif process.pid and not process.unit.is_task:
            self._check(process, now)
        elif process.unit.is_task:
            process.end_if_overdue(now)

    def _check(self, process: Process, now: float) -> None:
        """Evaluate a finished health check, or start the next one when it is due."""
        name = process.unit.name
        check = self.checks.get(name)
        if check is None:
            due = RECHECK if process.state is State.READY else 0.2
            if now - self.checked.get(name, 0.0) >= due:
                self.checked[name] = now
                self.checks[name] = self.pool.submit(health.passes, process.unit.check)
            return
        if not check.done():
            return
        del self.checks[name]
        if check.result():
            self.misses[name] = 0
            if process.state is not State.READY:
                process.enter(State.READY)
        elif process.state is State.READY:
            self.misses[name] = self.misses.get(name, 0) + 1
            if self.misses[name] >= MISSES:
                process.enter(State.FAILED, "is running, but no longer answers")
        elif now - process.since > process.unit.timeout and process.state is State.STARTING:
            process.enter(State.FAILED, f"no answer for {process.unit.timeout:.0f} s")

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, process in self.processes.items():
                if process.pid == pid:
                    process.ended(os.waitstatus_to_exitcode(status))
                    if not process.unit.is_task:
                        self._renew_after(name)

    def _renew_after(self, name: str) -> None:
        """Run the units again that set up what a restart loses, such as the ports of the switch."""
        units = [process.unit for process in self.processes.values()]
        after = [self.processes[dependent] for dependent in dependents(name, units)]
        tied = [process for process in after if name in process.unit.tied_to and process.pid]
        self._end(tied)
        done = [r for r in after if r.unit.each_start and r.state is State.DONE]
        for process in (*tied, *done):
            process.again()

    def _end(self, ending: list[Process]) -> None:
        """Send SIGTERM to all at once, and SIGKILL to each that exceeds its patience."""
        began = time.monotonic()
        for process in ending:
            process.enter(State.STOPPED)
            process.kill(signal.SIGTERM)
        while left := [process for process in ending if process.pid]:
            self._reap_ending(left)
            for process in left:
                if time.monotonic() - began > process.unit.patience:
                    process.kill(signal.SIGKILL)
            time.sleep(0.05)

    def _end_all(self) -> None:
        """Let guests write their disks and exit. The kernel kills what is left."""
        os.kill(-1, signal.SIGTERM)
        deadline = time.monotonic() + LAST_PATIENCE
        while time.monotonic() < deadline:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.05)
            except ChildProcessError:
                return

    def _reap_ending(self, ending: list[Process]) -> None:
        for process in ending:
            if process.pid:
                try:
                    pid, _ = os.waitpid(process.pid, os.WNOHANG)
                except ChildProcessError:
                    pid = process.pid
                if pid:
                    # Children may have outlived it, such as uwsgi's workers or dnsmasq.
                    process.kill(signal.SIGTERM)
                    process.pid = 0


def main(arguments: list[str]) -> None:
    """`python -m openstack_lab.supervisor UNITS SOCKET LOGS MARKERS`, as process 1."""
    units_file, socket_path, logs, markers = (Path(argument) for argument in arguments)
    supervisor = Supervisor(units_file, logs, markers)

    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor.handle({"verb": "apply"})
    with control.serve(socket_path, supervisor.handle):
        supervisor.loop()


if __name__ == "__main__":
    main(sys.argv[1:])
