"""How the web tier changes to newer code without refusing a connection.

On RELOAD, the parent of its processes starts a successor: the same command, from the release that
is live by then, with the same listening sockets. The successor says when all of its own processes
serve. Then it is the service's main process, and the old processes drain: they accept no more
connections, and end once each of theirs has had its last answer. A successor that does not come
that far changes nothing.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from production_server.places import live_folder
from production_server.system_manager import notify

log = logging.getLogger(__name__)

# Not SIGHUP, which a terminal sends to all processes when it closes.
RELOAD = signal.SIGUSR2
# To a parent, from a child or a successor: look at its Readiness.
READY = signal.SIGUSR1
# To a process that serves.
DRAIN = signal.SIGUSR1

# Seconds until its processes must serve, also on an emulated processor.
START_SECONDS = 150.0


@dataclass
class Readiness:
    """A pipe on which processes tell their parent that they serve; a signal wakes it up."""

    reader: int
    writer: int

    @classmethod
    def created(cls) -> Readiness:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        return cls(reader, writer)

    def tell(self) -> None:
        tell_parent(self.writer)

    def count(self) -> int:
        """How many have told since the last time."""
        try:
            return len(os.read(self.reader, 1024))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


def tell_parent(writer: int) -> None:
    os.write(writer, b".")
    os.kill(os.getppid(), READY)


class Succession:
    """Both sides of the change: this process as a successor, and its own successor."""

    def __init__(self, arguments: Sequence[str], inherited: Inheritance | None = None) -> None:
        """`arguments` are those of the command that runs this process, without `inherited`."""
        self._arguments = list(arguments)
        self._inherited = inherited
        self._successor: subprocess.Popen[bytes] | None = None
        self._ready: Readiness | None = None
        self._until = 0.0

    @property
    def pending(self) -> bool:
        """Whether a successor is starting."""
        return self._successor is not None

    def begin(self, listeners: Sequence[socket.socket]) -> None:
        """Start a successor, unless one is starting."""
        if self._successor is not None:
            return
        self._ready = Readiness.created()
        inheritance = Inheritance([one.fileno() for one in listeners], self._ready.writer)
        try:
            self._successor = subprocess.Popen(
                [sys.executable, *self._arguments, *inheritance.options()],
                cwd=live_folder(),
                pass_fds=[*inheritance.listeners, inheritance.writer],
                preexec_fn=_unblock,  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            self._forget(f"newer code did not start: {error}")
        else:
            self._until = time.monotonic() + START_SECONDS
            notify(f"STATUS=starting newer code as process {self._successor.pid}")

    def completed(self) -> bool:
        """Whether the successor serves, and this process has to end."""
        if self._successor is None or self._ready is None:
            return False
        if self._ready.count():
            log.info("process %d has taken over", self._successor.pid)
            notify(f"MAINPID={self._successor.pid}\nSTATUS=")
            return True
        if self._successor.poll() is None and time.monotonic() > self._until:
            self._successor.kill()  # its processes end when it is gone
            self._successor.wait()
        if self._successor.poll() is not None:
            pid, code = self._successor.pid, self._successor.returncode
            self._forget(f"newer code did not start: process {pid} ended with {code}")
        return False

    def take_over(self) -> None:
        """All processes serve: tell the predecessor, if there is one."""
        if self._inherited is not None:
            tell_parent(self._inherited.writer)
            os.close(self._inherited.writer)
            self._inherited = None

    def stop(self) -> None:
        """End a successor that has not taken over."""
        if self._successor is not None:
            self._successor.terminate()
            self._successor.wait()

    def _forget(self, status: str) -> None:
        if self._ready is not None:
            self._ready.close()
        self._successor = self._ready = None
        log.error("%s", status)
        notify(f"STATUS={status}")


@dataclass(frozen=True)
class Inheritance:
    """What a successor gets from its predecessor: file descriptors."""

    listeners: list[int]
    writer: int

    def options(self) -> list[str]:
        return ["--listeners", ",".join(map(str, self.listeners)), "--ready", str(self.writer)]

    def sockets(self) -> list[socket.socket]:
        return [socket.socket(fileno=one) for one in self.listeners]


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
