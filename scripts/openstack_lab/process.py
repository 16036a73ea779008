"""The process of one unit: starts it, ends it, and keeps its state."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from openstack_lab.unit import Step, Unit


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


GOOD = (State.READY, State.DONE)
LONGEST_PAUSE = 20.0


def pause_before_restart(restarts: int) -> float:
    """Seconds before a restart. They double, so that a crash loop does not use all of the CPU."""
    return min(LONGEST_PAUSE, 0.5 * 2.0 ** min(restarts, 10))


@dataclass
class Process:
    """A unit with its state and its process, if it runs."""

    unit: Unit
    log: Path
    marker: Path
    state: State = State.WAITING
    pid: int = 0
    step: int = 0
    restarts: int = 0
    reason: str = ""
    since: float = field(default_factory=time.monotonic)
    not_before: float = 0.0
    step_began: float = 0.0
    timed_out: bool = False

    def enter(self, state: State, reason: str = "") -> None:
        if state is not self.state:
            self.since = time.monotonic()
        self.state, self.reason = state, reason

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of a task. Until it has succeeded once, the reset steps come first."""
        return self.unit.steps if self.marker.exists() else (*self.unit.reset, *self.unit.steps)

    def already_done(self) -> bool:
        return (
            self.unit.is_task
            and not self.unit.each_start
            and self.marker.exists()
            and (self.unit.only_once or self.marker.read_text() == self.unit.fingerprint)
        )

    def start(self) -> None:
        """Run the daemon, or the task's next step, in a new process group."""
        command = self.steps[self.step].command if self.unit.is_task else self.unit.command
        with self.log.open("ab") as log:
            log.write(f"--- {time.strftime('%F %T')} {' '.join(command)}\n".encode())
            log.flush()
            try:
                # Reaped by the supervisor, which is process 1.
                process = subprocess.Popen(
                    command,
                    env=self.unit.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                    user=self.unit.user or None,
                    group=self.unit.user or None,
                    extra_groups=[] if self.unit.user else None,
                )
            except OSError as error:
                self.enter(State.FAILED, f"cannot run {command[0]}: {error}")
                self.not_before = time.monotonic() + pause_before_restart(self.restarts)
                return
        self.pid = process.pid
        process.returncode = 0  # so that Popen does not reap it
        self.step_began, self.timed_out = time.monotonic(), False
        self.enter(State.STARTING)

    def ended(self, code: int) -> None:
        """Handle the end of the process: run a task's next step, schedule a daemon's restart."""
        self.pid = 0
        if self.state is State.STOPPED:
            return
        if not self.unit.is_task:
            self.not_before = time.monotonic() + pause_before_restart(self.restarts)
            self.restarts += 1
            self.enter(State.WAITING, f"exited with {code}")
            return
        step = self.steps[self.step]
        if self.timed_out or code not in step.accept:
            reason = f"took over {step.timeout:g} s" if self.timed_out else f"exited with {code}"
            self.enter(State.FAILED, f"step {self.step + 1} {reason}")
            return
        self.step += 1
        if self.step < len(self.steps):
            self.start()
            return
        if not self.unit.each_start:
            self.marker.parent.mkdir(parents=True, exist_ok=True)
            self.marker.write_text(self.unit.fingerprint)
        self.enter(State.DONE)

    def end_if_overdue(self, now: float) -> None:
        """End a task's step that exceeds its time limit."""
        if self.pid and now - self.step_began > self.steps[self.step].timeout:
            self.timed_out = True
            self.kill(signal.SIGKILL)

    def again(self) -> None:
        """Run it again, from the first step."""
        self.step, self.restarts, self.not_before = 0, 0, 0.0
        self.enter(State.WAITING)

    def kill(self, number: signal.Signals) -> None:
        if self.pid:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                self.pid = 0

    def report(self) -> dict[str, Any]:
        return {
            "name": self.unit.name,
            "title": self.unit.title,
            "state": str(self.state),
            "pid": self.pid,
            "restarts": self.restarts,
            "reason": self.reason,
            "seconds": round(time.monotonic() - self.since, 1),
            "task": self.unit.is_task,
            "log": str(self.log),
        }
