"""Process 1 of the lab: starts units in order, keeps daemons alive, answers on a socket.

The lab has a process namespace of its own, so whatever a daemon leaves behind is
reaped here, and when this process ends the kernel ends all the others.
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
from openstack_lab.running import GOOD, Running, State
from openstack_lab.unit import Unit, dependents, from_json, in_order

TICK = 0.1
# How often a ready daemon is asked again; a loaded machine makes it miss a beat, not three.
RECHECK = 10.0
MISSES = 3
# For guests and what else daemons left behind, once the daemons are gone.
LAST_PATIENCE = 5.0


class Supervisor:
    """The loop. Only its own thread changes units; the socket's threads queue what they want."""

    def __init__(self, units_file: Path, logs: Path, markers: Path) -> None:
        self.units_file, self.logs, self.markers = units_file, logs, markers
        self.running: dict[str, Running] = {}
        self.checks: dict[str, Future[bool]] = {}
        self.checked: dict[str, float] = {}
        self.misses: dict[str, int] = {}
        self.pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="check")
        self.lock = threading.Lock()
        self.stopping = False

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """What the socket says to `status`, `apply`, `restart` and `stop`."""
        with self.lock:
            match question.get("verb"):
                case "apply":
                    self.apply(from_json(self.units_file.read_text()))
                case "restart":
                    self.restart(str(question["name"]))
                case "stop":
                    self.stopping = True
            return {"units": [running.report() for running in self.running.values()]}

    def apply(self, units: list[Unit]) -> None:
        """Take this set: stop what is no longer wanted, restart what changed, retry what failed."""
        wanted = {unit.name: unit for unit in in_order(units)}
        changed = [
            running
            for name, running in self.running.items()
            if name not in wanted or running.unit.fingerprint != wanted[name].fingerprint
        ]
        self._end(changed)
        for running in changed:
            del self.running[running.unit.name]
        for name, unit in wanted.items():
            old = self.running.get(name)
            if old:
                old.restarts = 0
                if old.state is State.FAILED and not old.pid:
                    old.again()
                continue
            self.running[name] = Running(
                unit, log=self.logs / f"{name}.log", marker=self.markers / name
            )
            self._renew_after(name)
        self.running = {name: self.running[name] for name in wanted}

    def restart(self, name: str) -> None:
        self._end([self.running[name]])
        self.running[name].again()
        self._renew_after(name)

    def loop(self) -> None:
        while not self.stopping:
            with self.lock:
                self._reap()
                for running in self.running.values():
                    self._advance(running)
            time.sleep(TICK)
        with self.lock:
            self._end([r for r in self.running.values() if not r.unit.keeps_data])
            self._end([r for r in self.running.values() if r.unit.keeps_data])
            if os.getpid() == 1:
                self._end_all()

    def _advance(self, running: Running) -> None:
        now = time.monotonic()
        if running.state is State.FAILED and not running.unit.is_task and not running.pid:
            running.enter(State.WAITING, running.reason)
        if running.state is State.WAITING and now >= running.not_before:
            if running.already_done():
                running.enter(State.DONE)
            elif all(self.running[name].state in GOOD for name in running.unit.requires):
                running.start()
        elif running.pid and not running.unit.is_task:
            self._look(running, now)
        elif running.unit.is_task:
            running.end_if_overdue(now)

    def _look(self, running: Running, now: float) -> None:
        """Collect the answer of a health check, and ask again when it is time."""
        name = running.unit.name
        asked = self.checks.get(name)
        if asked is None:
            due = RECHECK if running.state is State.READY else 0.2
            if now - self.checked.get(name, 0.0) >= due:
                self.checked[name] = now
                self.checks[name] = self.pool.submit(health.passes, running.unit.check)
            return
        if not asked.done():
            return
        del self.checks[name]
        if asked.result():
            self.misses[name] = 0
            if running.state is not State.READY:
                running.enter(State.READY)
        elif running.state is State.READY:
            self.misses[name] = self.misses.get(name, 0) + 1
            if self.misses[name] >= MISSES:
                running.enter(State.FAILED, "runs, but does not answer any more")
        elif now - running.since > running.unit.timeout and running.state is State.STARTING:
            running.enter(State.FAILED, f"no answer for {running.unit.timeout:.0f} s")

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, running in self.running.items():
                if running.pid == pid:
                    running.ended(os.waitstatus_to_exitcode(status))
                    if not running.unit.is_task:
                        self._renew_after(name)

    def _renew_after(self, name: str) -> None:
        """A restarted switch has lost its addresses and ports: who made them makes them again."""
        units = [running.unit for running in self.running.values()]
        after = [self.running[dependent] for dependent in dependents(name, units)]
        tied = [running for running in after if name in running.unit.tied_to and running.pid]
        self._end(tied)
        done = [r for r in after if r.unit.each_start and r.state is State.DONE]
        for running in (*tied, *done):
            running.again()

    def _end(self, ending: list[Running]) -> None:
        """SIGTERM to all at once, SIGKILL to each whose patience is over."""
        began = time.monotonic()
        for running in ending:
            running.enter(State.STOPPED)
            running.kill(signal.SIGTERM)
        while left := [running for running in ending if running.pid]:
            self._reap_ending(left)
            for running in left:
                if time.monotonic() - began > running.unit.patience:
                    running.kill(signal.SIGKILL)
            time.sleep(0.05)

    def _end_all(self) -> None:
        """Guests write their disks back and go; what stays goes with this process."""
        os.kill(-1, signal.SIGTERM)
        deadline = time.monotonic() + LAST_PATIENCE
        while time.monotonic() < deadline:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.05)
            except ChildProcessError:
                return

    def _reap_ending(self, ending: list[Running]) -> None:
        for running in ending:
            if running.pid:
                try:
                    pid, _ = os.waitpid(running.pid, os.WNOHANG)
                except ChildProcessError:
                    pid = running.pid
                if pid:
                    # Its children may have outlived it (uwsgi's workers, dnsmasq).
                    running.kill(signal.SIGTERM)
                    running.pid = 0


def main(arguments: list[str]) -> None:
    """`python -m openstack_lab.supervisor UNITS SOCKET LOGS MARKERS`, as process 1."""
    units_file, socket_path, logs, markers = (Path(argument) for argument in arguments)
    supervisor = Supervisor(units_file, logs, markers)

    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor.answer({"verb": "apply"})
    with control.serve(socket_path, supervisor.answer):
        supervisor.loop()


if __name__ == "__main__":
    main(sys.argv[1:])
