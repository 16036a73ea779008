"""The processes of the web tier: forked from one parent, and restarted when they end.

The parent imports everything first, so the forked processes share that memory. To run newer code,
it starts a successor, which forks its own; see succession.py.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess

from production_server.errors import ServiceError
from production_server.web.succession import DRAIN, READY, RELOAD, Readiness, Succession

WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, RELOAD, READY}
STOP_SECONDS = 15
# A process that drains ends by itself before that.
DRAIN_SECONDS = 60
LOOK_SECONDS = 1.0
# The shortest time between two starts of the same process.
RESTART_SECONDS = 1.0

# Serves on a listener, and calls back when it does.
Serve = Callable[[socket.socket, Callable[[], None]], None]
OnDeath = Callable[[int], None]


def listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """One socket per process, all on the same port: the kernel balances connections among them.

    The parent keeps them open, so connections wait while a process restarts.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    try:
        # First without SO_REUSEPORT, to detect another service on this port.
        _bound(family, host, port, shared=False).close()
        return [_bound(family, host, port, shared=True) for _ in range(count)]
    except OSError as error:
        raise ServiceError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            "Set another STACKSERVE_PORT or STACKSERVE_HOST, or stop the service that uses it.",
        ) from error


def _bound(family: int, host: str, port: int, *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


@dataclass
class Child:
    """One process and its listener."""

    process: BaseProcess
    listener: socket.socket
    started: float = field(default_factory=time.monotonic)


class Processes:
    """One process per listener, each running `serve`, until SIGTERM or SIGINT."""

    def __init__(
        self,
        sockets: list[socket.socket],
        serve: Serve,
        on_death: OnDeath,
        succession: Succession,
    ) -> None:
        """`on_death` gets the ID of each process that ended by itself, before it is replaced."""
        self._serve = serve
        self._on_death = on_death
        self._sockets = sockets
        self._succession = succession
        self._ready = Readiness.created()
        self._serving = 0
        self._children: list[Child] = []

    def run(self) -> None:
        # Blocked, so that sigwait below receives every one of them.
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        gc.collect()
        gc.freeze()  # garbage collection in a child would copy the memory they share
        try:
            self._children = [self._start(listener) for listener in self._sockets]
            self._follow_signals()
        except BaseException:
            self._end(signal.SIGKILL, STOP_SECONDS)
            raise

    def _follow_signals(self) -> None:
        while (received := self._next_signal()) not in (signal.SIGTERM, signal.SIGINT):
            if received == RELOAD:
                self._succession.begin(self._sockets)
            elif received == READY:
                self._count_ready()
            if self._succession.completed():
                self._end(DRAIN, DRAIN_SECONDS)
                for child in self._children:
                    self._forget(child)
                return
            if received == signal.SIGCHLD:
                self._children = [self._restarted(child) for child in self._children]
        self._succession.stop()
        self._end(signal.SIGTERM, STOP_SECONDS)

    def _next_signal(self) -> int | None:
        """The next signal; None after a while, if a successor must not take for ever."""
        if not self._succession.pending:
            return signal.sigwait(WATCHED)
        info = signal.sigtimedwait(WATCHED, LOOK_SECONDS)
        return info.si_signo if info else None

    def _start(self, listener: socket.socket) -> Child:
        process = multiprocessing.get_context("fork").Process(target=self._run, args=(listener,))
        process.start()
        return Child(process, listener)

    def _run(self, listener: socket.socket) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        self._serve(listener, self._ready.tell)

    def _count_ready(self) -> None:
        before = self._serving
        self._serving += self._ready.count()
        if before < len(self._sockets) <= self._serving:
            self._succession.take_over()

    def _restarted(self, child: Child) -> Child:
        if child.process.exitcode is None:
            return child
        self._forget(child)
        time.sleep(max(0.0, child.started + RESTART_SECONDS - time.monotonic()))
        return self._start(child.listener)

    def _end(self, number: signal.Signals, seconds: float) -> None:
        for child in self._children:
            if child.process.pid is not None and child.process.exitcode is None:
                os.kill(child.process.pid, number)
        give_up = time.monotonic() + seconds
        for child in self._children:
            child.process.join(max(0.1, give_up - time.monotonic()))
            if child.process.exitcode is None:
                child.process.kill()
                child.process.join()

    def _forget(self, child: Child) -> None:
        if child.process.pid is not None:
            self._on_death(child.process.pid)
