"""The runs of the trainer: a folder for each, which survives a crash.

    <home>/trainer/<id>/run.json      what was asked for; appears complete, by a rename
    <home>/trainer/<id>/sent/         the files that were sent
    <home>/trainer/<id>/state.json    written by the trainer; missing while it is queued
    <home>/trainer/<id>/progress.json written by the process that does the work
    <home>/trainer/<id>/cancel        somebody wants it to end

The web tier creates and reads runs, and the trainer carries them out. Neither needs a lock.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from production_server.model.durable import sync, write_whole
from production_server.settings import Settings

RUN, STATE, PROGRESS, OUTCOME, CANCEL, SENT = (
    "run.json",
    "state.json",
    "progress.json",
    "outcome.json",
    "cancel",
    "sent",
)
LOCK = ".trainer"
_NEW = ".new-"
# A finished run is kept this long, and this many of them.
KEPT_SECONDS = 30 * 24 * 3600.0
KEPT = 100
# An upload that is not complete after this long never will be.
LEFT_SECONDS = 3600.0


class Kind(StrEnum):
    TRAIN = "train"
    RECEIVE = "receive"


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Request(Record):
    """What was asked for."""

    kind: Kind
    created: float
    who: str = ""
    name: str = ""
    seed: int = 7
    activate: bool = False
    force: bool = False
    canary: float | None = None
    shadow: bool = False


class Outcome(Record):
    """How it ended: with a version, or with a reason."""

    version: str = ""
    code: str = ""
    reason: str = ""
    remedy: str = ""
    notes: list[str] = []


class Standing(Record):
    """How far the trainer is with it."""

    state: State = State.QUEUED
    attempts: int = 0
    started: float | None = None
    finished: float | None = None
    outcome: Outcome | None = None


class Progress(Record):
    """What the process that does the work tells of it."""

    phase: str = ""
    epochs: int = 0
    most_epochs: int = 0
    loss: list[float] = []
    val_loss: list[float] = []


class Run:
    """One run, as its folder tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name
        self.request = Request.model_validate_json((folder / RUN).read_bytes())
        self.standing = read(folder / STATE, Standing) or Standing()
        self.cancelled = (folder / CANCEL).exists()

    @property
    def active(self) -> bool:
        return self.standing.state in (State.QUEUED, State.RUNNING)

    @property
    def progress(self) -> Progress:
        return read(self.folder / PROGRESS, Progress) or Progress()

    def write(self, standing: Standing) -> None:
        self.standing = standing
        write_whole(self.folder / STATE, standing.model_dump_json().encode())

    def cancel(self) -> None:
        write_whole(self.folder / CANCEL, b"")


class Runs:
    """All runs of a service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, settings: Settings) -> Runs:
        return cls(settings.home / "trainer")

    def all(self, kind: Kind | None = None) -> list[Run]:
        """Newest first."""
        runs = [run for path in self._folders() if (run := self.get(path.name))]
        chosen = [run for run in runs if kind in (None, run.request.kind)]
        return sorted(chosen, key=lambda run: (run.request.created, run.id), reverse=True)

    def get(self, run_id: str) -> Run | None:
        """A run; None if there is none with this ID."""
        if not re.fullmatch(r"[0-9a-f]{32}", run_id):
            return None
        try:
            return Run(self.folder / run_id)
        except (OSError, ValidationError):
            return None

    def unfinished(self, kind: Kind) -> int:
        return sum(run.active for run in self.all(kind))

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A folder to put the files of a new run into. It goes away unless it is submitted."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self.folder / f"{_NEW}{secrets.token_hex(16)}"
        (folder / SENT).mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def submit(self, draft: Path, request: Request) -> Run:
        """Let the trainer find a draft."""
        write_whole(draft / RUN, request.model_dump_json().encode())
        for path in [*draft.rglob("*"), draft]:
            sync(path)
        target = self.folder / draft.name.removeprefix(_NEW)
        draft.rename(target)
        sync(self.folder)
        return Run(target)

    def remove(self, run: Run) -> None:
        # Not in two steps: what is left of it could be read.
        gone = self.folder / f"{_NEW}{run.id}"
        with suppress(OSError):
            run.folder.rename(gone)
            shutil.rmtree(gone)

    def tidy(self, now: float) -> None:
        """Remove old runs, the files of finished ones, and uploads that were never completed."""
        finished = [run for run in self.all() if not run.active]
        for place, run in enumerate(finished):
            shutil.rmtree(run.folder / SENT, ignore_errors=True)
            age = now - (run.standing.finished or run.request.created)
            if place >= KEPT or age > KEPT_SECONDS:
                self.remove(run)
        for left in self.folder.glob(f"{_NEW}*"):
            with suppress(OSError):
                if now - left.stat().st_mtime > LEFT_SECONDS:
                    shutil.rmtree(left)

    def attended(self) -> bool:
        """Whether a trainer runs."""
        try:
            handle = os.open(self.folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def _folders(self) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return []


def read(path: Path, kind: type[Any]) -> Any:
    """A record; None if it is not there yet."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
