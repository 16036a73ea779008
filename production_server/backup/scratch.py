"""Private folders of a backup, and one backup or restore at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from production_server.errors import BackupError
from production_server.local.signals import stop_signals

LOCK = ".backup.lock"


@contextmanager
def alone(home: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other backups and restores of the same service out while the block runs."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupError(
            f"the folder {home} cannot be written: {error.strerror}",
            "Run this as the user who runs the service.",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError as error:
        raise BackupError(
            "another backup or restore of this service is running", "Wait until it has finished."
        ) from error
    finally:
        os.close(handle)


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """A private folder in `parent`, deleted afterwards. Only for a block in `alone`."""
    for left in parent.glob(f"{prefix}*"):
        shutil.rmtree(left)  # from a process that was killed
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn every stop signal into KeyboardInterrupt, so that the block cleans up."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with _handling(stop):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore stop signals during the block: it is short, and then nothing is left to stop.

    A signal mask would not do: a thread of a library would get the signal instead.
    """
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def _handling(handler: Callable[[int, object], None] | signal.Handlers) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in stop_signals()}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
