"""The web tier's processes: as many as asked, replaced when they die, gone when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from production_server.errors import ServiceError
from production_server.web.processes import listeners
from production_server.web.succession import RELOAD

ROOT = Path(__file__).parents[4]
# Each process answers a connection with its number.
PROGRAM = """
import os, sys
from production_server.web import processes
from production_server.web.succession import Succession
processes.RESTART_SECONDS = 0.0
def serve(listener, serving):
    listener.listen()
    serving()
    while True:
        connection, _ = listener.accept()
        connection.sendall(str(os.getpid()).encode())
        connection.close()
listeners = processes.listeners("127.0.0.1", int(sys.argv[1]), 2)
tell = lambda pid: print(pid, flush=True)
processes.Processes(listeners, serve, tell, Succession(["-c", "raise SystemExit(3)"])).run()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def parent() -> Iterator[tuple[psutil.Popen, int]]:
    port = free_port()
    process = psutil.Popen(
        [sys.executable, "-c", PROGRAM, str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    yield process, port
    if process.poll() is None:
        # Stopped first, or it would replace a child while they are being counted.
        process.suspend()
        for one in [*process.children(), process]:
            one.kill()
    process.wait()


def pids(process: psutil.Popen, count: int) -> set[int]:
    """The children, once there are so many."""
    give_up = time.monotonic() + 20
    while len(found := {child.pid for child in process.children()}) != count:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return found


def answering(port: int, count: int) -> set[int]:
    """Which processes answer, once there are so many."""
    found: set[int] = set()
    give_up = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < give_up
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                found.add(int(connection.recv(20)))
        except ConnectionError:
            time.sleep(0.01)
    return found


def test_every_process_gets_connections(parent: tuple[psutil.Popen, int]) -> None:
    process, port = parent
    assert answering(port, 2) == pids(process, 2)


def test_a_process_that_died_is_replaced(parent: tuple[psutil.Popen, int]) -> None:
    process, port = parent
    first = answering(port, 2)
    killed = min(first)
    os.kill(killed, signal.SIGKILL)
    give_up = time.monotonic() + 20
    while killed in (now := pids(process, 2)):
        assert time.monotonic() < give_up
    assert len(now & first) == 1
    assert answering(port, 2) == now
    assert process.stdout.readline() == f"{killed}\n"


def test_newer_code_that_does_not_start_changes_nothing(parent: tuple[psutil.Popen, int]) -> None:
    process, port = parent
    before = answering(port, 2)
    for _ in range(3):
        process.send_signal(RELOAD)
        time.sleep(0.3)
    assert answering(port, 2) == before == pids(process, 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_leaves_nobody(
    parent: tuple[psutil.Popen, int], number: signal.Signals
) -> None:
    process, port = parent
    children = answering(port, 2)
    process.send_signal(number)
    assert process.wait(20) == 0
    assert not [pid for pid in children if psutil.pid_exists(pid)]


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServiceError, match="cannot listen"):
            listeners("127.0.0.1", taken.getsockname()[1], 2)


def test_its_own_sockets_share_the_port_but_no_other_service_does() -> None:
    port = free_port()
    made = listeners("127.0.0.1", port, 2)
    for listener in made:
        listener.listen()
    with pytest.raises(ServiceError):
        listeners("127.0.0.1", port, 2)
    for listener in made:
        listener.close()
