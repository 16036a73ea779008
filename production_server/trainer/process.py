"""The trainer process: starts a process for each run, and writes down how it ended.

It holds no model and imports no Keras, so it costs next to nothing while there is nothing to do. At
most one training and one upload run at the same time, both at the lowest priority.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

from production_server.places import IMPORT_FOLDER
from production_server.settings import Settings
from production_server.trainer.runs import (
    LOCK,
    OUTCOME,
    PROGRESS,
    Kind,
    Outcome,
    Run,
    Runs,
    State,
    read,
)

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.3
TIDY_SECONDS = 600.0
# A process that is killed starts again, but not for ever: its data may not fit into the memory.
MOST_ATTEMPTS = 3
LONGEST = {Kind.TRAIN: 4 * 3600.0, Kind.RECEIVE: 300.0}
STOP_SECONDS = 5.0
OUTPUT = "output.log"


class Lane:
    """The runs of one kind, one after the other."""

    def __init__(self, runs: Runs, kind: Kind, environment: dict[str, str]) -> None:
        self._runs = runs
        self._kind = kind
        self._environment = environment
        self._run: Run | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Start, end or cancel a run if it is time."""
        if self._run is not None and self._process is not None:
            self._watch(self._run, self._process)
        if self._run is None:
            self._start_next()

    def stop(self) -> None:
        """End the process. Its run starts again with the next trainer."""
        if self._process is not None:
            end(self._process)

    def _start_next(self) -> None:
        waiting = [run for run in reversed(self._runs.all(self._kind)) if run.active]
        for run in waiting:
            if run.cancelled:
                finish(run, State.CANCELLED)
            elif run.standing.attempts >= MOST_ATTEMPTS:
                finish(run, State.FAILED, killed(run))
            else:
                self._start(run)
                return

    def _start(self, run: Run) -> None:
        standing = run.standing
        run.write(
            standing.model_copy(
                update={
                    "state": State.RUNNING,
                    "attempts": standing.attempts + 1,
                    "started": time.time(),
                }
            )
        )
        (run.folder / PROGRESS).unlink(missing_ok=True)
        log.info("starting %s %s, attempt %d", self._kind, run.id, run.standing.attempts)
        with (run.folder / OUTPUT).open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "production_server.trainer", str(run.folder)],
                env=self._environment,
                cwd=IMPORT_FOLDER,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._run = run

    def _watch(self, run: Run, process: subprocess.Popen[bytes]) -> None:
        now = Run(run.folder)
        late = time.time() - (now.standing.started or 0) > LONGEST[self._kind]
        if process.poll() is None and not now.cancelled and not late:
            return
        end(process)
        self._run = self._process = None
        outcome: Outcome | None = read(run.folder / OUTCOME, Outcome)
        if outcome is not None:
            finish(now, State.FAILED if outcome.code else State.DONE, outcome)
        elif now.cancelled:
            finish(now, State.CANCELLED)
        elif late:
            finish(now, State.FAILED, too_long(self._kind))
        else:
            log.warning("%s %s ended with code %s", self._kind, run.id, process.returncode)


class Trainer:
    """Carries out the runs of a service until it is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._runs = Runs.of(settings)
        self._stopping = threading.Event()
        environment = settings.environment()
        self._lanes = [Lane(self._runs, kind, environment) for kind in Kind]

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Look for runs until stop(). Only one trainer works in a folder; others wait."""
        self._runs.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._runs.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not self._stopping.is_set():
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                self._stopping.wait(1.0)
            self._work()
        finally:
            for lane in self._lanes:
                lane.stop()
            os.close(lock)

    def _work(self) -> None:
        tidied = 0.0
        while not self._stopping.is_set():
            try:
                if time.monotonic() > tidied + TIDY_SECONDS:
                    self._runs.tidy(time.time())
                    tidied = time.monotonic()
                for lane in self._lanes:
                    lane.look()
            except OSError:  # such as a full disk; it may have room later
                log.exception("the trainer cannot use its folder")
                self._stopping.wait(5.0)
            self._stopping.wait(LOOK_SECONDS)


def finish(run: Run, state: State, outcome: Outcome | None = None) -> None:
    finished = {"state": state, "finished": time.time(), "outcome": outcome}
    run.write(run.standing.model_copy(update=finished))
    log.info("%s %s: %s %s", run.request.kind, run.id, state, outcome.reason if outcome else "")


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def killed(run: Run) -> Outcome:
    return Outcome(
        code="killed",
        reason=f"its process was killed {run.standing.attempts} times",
        remedy="The server may be short of memory: use fewer rows, or a larger server. The log of "
        "the trainer tells more.",
    )


def too_long(kind: Kind) -> Outcome:
    return Outcome(
        code="too_long",
        reason=f"it did not end within {LONGEST[kind]:.0f} s",
        remedy="Use less data or a smaller model, or train it elsewhere and import it.",
    )


def run_trainer(settings: Settings) -> None:
    """Run the trainer until SIGTERM or SIGINT."""
    trainer = Trainer(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: trainer.stop())
    trainer.run()
