"""Lock files that name their holder, so that one `scripts/lab` runs at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL = 0.2


def acquire(path: Path, purpose: str, say: Callable[[str], None]) -> int:
    """Lock `path` and return its file descriptor. Reports each holder that it waits for.

    Child processes that get the descriptor keep the lock until they end, even if we are killed.
    """
    reported = ""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # `down --purge` removed the folder after our mkdir
            continue
        if _lock(descriptor):
            if _is_current(descriptor, path):
                _write(descriptor, f"`{purpose}` (process {os.getpid()})")
                return descriptor
        else:
            holder = os.pread(descriptor, 200, 0).decode() or "another process"
            if holder != reported:
                say(f"Waiting for {holder} to finish; it holds {path}.")
                reported = holder
            time.sleep(POLL)
        os.close(descriptor)


def release(descriptor: int) -> None:
    """Unlock, even if a child process still has the descriptor."""
    _write(descriptor, "")
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


@contextlib.contextmanager
def hold(path: Path, purpose: str, say: Callable[[str], None]) -> Iterator[int]:
    descriptor = acquire(path, purpose, say)
    try:
        yield descriptor
    finally:
        release(descriptor)


def inherit(descriptor: int, path: Path) -> bool:
    """Take over a lock that was acquired before exec. False if it is not the lock of `path`."""
    try:
        if not (_is_current(descriptor, path) and _lock(descriptor)):
            return False
    except OSError:
        return False
    os.set_inheritable(descriptor, False)
    return True


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(descriptor: int, path: Path) -> bool:
    """Whether the descriptor is the file at `path`, and not one that was removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
