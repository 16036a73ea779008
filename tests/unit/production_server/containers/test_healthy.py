"""The health check of the containers, as the program that Docker runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from production_server.containers import healthy
from production_server.local.rabbitmq import free_port


def check(file: Path, port: int) -> tuple[int, str]:
    command = [sys.executable, "-I", "-S", healthy.__file__, str(file), str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stderr.strip()


def test_a_worker_is_healthy_while_it_changes_its_file(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    file.touch()
    assert check(file, free_port()) == (0, "")
    long_ago = time.time() - 100
    os.utime(file, (long_ago, long_ago))
    code, said = check(file, free_port())
    assert code == 1
    assert said.startswith("it has not worked for 10")


def test_the_web_tier_is_not_healthy_before_it_listens(tmp_path: Path) -> None:
    code, said = check(tmp_path / "none", free_port())
    assert code == 1
    assert "it does not answer on port" in said


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", 0), (b"HTTP/1.1 403 Forbidden\r\n\r\n", 0), (b"AMQP", 1)],
)
def test_the_web_tier_is_healthy_if_it_answers(tmp_path: Path, answer: bytes, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert check(tmp_path / "none", server.getsockname()[1])[0] == code
        thread.join()
