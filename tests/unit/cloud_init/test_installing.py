"""What a browser sees on the service's port while the server is installed."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.guest import free_ports
from tests.unit.cloud_init.steps import file, load


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a running installing.py."""
    (port,) = free_ports(1)
    program = [sys.executable, str(file("installing.py"))]
    with subprocess.Popen(program, env={"PORT": str(port)}) as process:
        yield port
        process.kill()


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str, str]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers["Retry-After"]
        except ConnectionError:
            time.sleep(0.02)
        finally:
            connection.close()
    raise AssertionError("installing.py does not listen")


def test_everything_gets_a_503(port: int) -> None:
    for method, path in (("GET", "/predictions"), ("POST", "/predict"), ("DELETE", "/jobs/1")):
        assert ask(port, method, path) == (503, "This server is being installed.\n", "15")
    assert ask(port, "HEAD", "/") == (503, "", "15")


def test_it_takes_nothing(port: int) -> None:
    assert ask(port, "PUT", "/stackserve-payload/00ff", b"code")[0] == 503


def test_a_slow_client_keeps_nobody_waiting(port: int) -> None:
    ask(port, "GET", "/")
    slow = http.client.HTTPConnection("127.0.0.1", port)
    slow.connect()
    slow.send(b"GET /predictions")
    assert ask(port, "GET", "/")[0] == 503
    slow.close()


def test_only_a_server_has_the_page(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code = load("steps/code.py")
    started: list[list[str]] = []
    monkeypatch.setattr(code, "UNITS", tmp_path)
    monkeypatch.setattr(code.subprocess, "run", lambda command, **_: started.append(command))
    code.tell_visitors()
    assert started == []
    (tmp_path / "installing-stackserve.service").touch()
    code.tell_visitors()
    assert started == [["systemctl", "start", "--no-block", "installing-stackserve.service"]]


def test_it_ends_before_the_web_tier_starts() -> None:
    unit = file("systemd/installing-stackserve.service").read_text().splitlines()
    for line in ("Conflicts", "Before"):
        assert f"{line}=stackserve-web.service" in unit
    # And with an installation that failed.
    assert "BindsTo=contextualize.service" in unit
