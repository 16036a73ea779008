"""What a worker process does: its tasks so far, and how busy it has been in the last seconds."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from celery.worker.control import inspect_command

from production_server.messaging.activity import ACTIVITY, WINDOW, WorkerActivity

P = ParamSpec("P")
R = TypeVar("R")


class Second:
    """What was done in one second of the clock."""

    __slots__ = ("busy", "chunks", "tasks", "when")

    def __init__(self, when: int) -> None:
        self.when = when
        self.busy, self.tasks, self.chunks = 0.0, 0, 0


class Activity:
    """Counts the tasks of one process. Only the thread that runs them may use it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._seconds: deque[Second] = deque(maxlen=WINDOW + 1)
        self.tasks = 0
        self.versions: Callable[[], list[str]] = list

    def measured(self, run: Callable[P, R], *, chunk: bool = False) -> Callable[P, R]:
        """The same function, whose calls count as tasks."""

        @functools.wraps(run)
        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            began = self._clock()
            try:
                return run(*args, **kwargs)
            finally:
                self.add(began, self._clock(), chunk=chunk)

        return counted

    def add(self, began: float, ended: float, *, chunk: bool) -> None:
        """Count a task that took this time."""
        self.tasks += 1
        at = max(began, ended - WINDOW)
        while int(at) < int(ended):
            self._second(int(at)).busy += int(at) + 1 - at
            at = int(at) + 1.0
        last = self._second(int(ended))
        last.busy += ended - at
        last.tasks += 1
        last.chunks += chunk

    def now(self) -> WorkerActivity:
        """The sums, and the averages of the last WINDOW seconds of the clock."""
        until = int(self._clock())
        recent = [one for one in self._seconds if until - WINDOW <= one.when < until]
        seconds = min(WINDOW, max(1.0, until - self._started))
        return WorkerActivity(
            models=self.versions(),
            tasks=self.tasks,
            tasks_per_second=round(sum(one.tasks for one in recent) / seconds, 3),
            chunks_per_second=round(sum(one.chunks for one in recent) / seconds, 3),
            busy=round(min(1.0, sum(one.busy for one in recent) / seconds), 3),
        )

    def _second(self, when: int) -> Second:
        if not self._seconds or self._seconds[-1].when < when:
            self._seconds.append(Second(when))
        return self._seconds[-1]


# For the remote command: a process has one.
activity = Activity()


@inspect_command(name=ACTIVITY)  # type: ignore[untyped-decorator]
def tell_activity(_state: object) -> dict[str, Any]:
    """Remote command: what this worker has done."""
    return vars(activity.now())
