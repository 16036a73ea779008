"""early.sh, which adjusts a prepared image's early start to the user data; and ready.py."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from openstack_client.userdata.render import step_settings
from tests.unit.cloud_init.steps import FILES, load
from tests.unit.openstack_client.userdata.contexts import context


class Server:
    """early.sh in a temporary folder, with a systemctl that records its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = (FILES / "steps" / "early.sh").read_text()
        for place in ("/etc/stackserve", "/etc/rabbitmq", "/opt/stackserve"):
            assert place in script
            script = script.replace(place, str(folder))
        (folder / "early.sh").write_text(script)
        (folder / "early").mkdir()
        (folder / "warmed").write_text("this\n")
        (folder / "server.env").write_text("A=1\n")
        (folder / "stackserve-definitions.json").touch()
        (folder / "tls").mkdir()
        (folder / "tls" / "broker.key").touch()
        (folder / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n')
        (folder / "systemctl").chmod(0o755)

    def run(self, role: str, payload: str = "this", before: str = "A=1") -> list[str]:
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        subprocess.run(
            ["sh", str(self.folder / "early.sh"), before],
            env=environment | {"ROLE": role, "PAYLOAD_SHA256": payload},
            check=True,
        )
        assert not (self.folder / "early").exists()
        return (self.folder / "asked").read_text().splitlines()

    def secrets(self) -> bool:
        secrets = ("server.env", "stackserve-definitions.json", "tls")
        return any((self.folder / name).exists() for name in secrets)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_a_server_like_its_image_continues_and_starts_its_web_tier(server: Server) -> None:
    asked = server.run("server")
    assert asked[0] == "start --no-block stackserve-web.service"
    assert not any(line.startswith("stop") for line in asked)


@pytest.mark.parametrize("values", [{"payload": "other"}, {"before": "A=0"}], ids=["code", "env"])
def test_with_other_code_or_settings_they_are_stopped(
    server: Server, values: dict[str, str]
) -> None:
    asked = server.run("server", **values)
    assert asked[0] == "stop stackserve-worker@1.service stackserve-recorder.service"
    assert not any("stackserve-web" in line for line in asked)
    assert server.secrets()


def test_a_worker_disables_them_and_deletes_the_secrets(server: Server) -> None:
    asked = server.run("worker")
    assert asked[0].startswith("disable --quiet --now ")
    assert "rabbitmq-server.service epmd.service epmd.socket" in asked[0]
    assert not server.secrets()


class Answers(BaseHTTPRequestHandler):
    """/ready, with the response that a test sets."""

    told: tuple[int, Any] = (200, {})

    def do_GET(self) -> None:
        status, body = Answers.told
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Clock:
    """time.monotonic and time.sleep, without waiting."""

    def __init__(self) -> None:
        self.slept = 0.0

    def monotonic(self) -> float:
        return 1e6 + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


class TestReady:
    """steps/ready.py"""

    @pytest.fixture
    def url(self) -> Iterator[str]:
        with HTTPServer(("127.0.0.1", 0), Answers) as answering:
            thread = threading.Thread(target=answering.serve_forever, args=(0.01,))
            thread.start()
            yield f"http://127.0.0.1:{answering.server_port}/ready"
            answering.shutdown()
            thread.join()

    def test_returns_the_model_that_answers(self, url: str) -> None:
        Answers.told = 200, {"ready": True, "version": "diabetes-1"}
        assert load("steps/ready.py").wait(url, 1, []) == "diabetes-1"

    def test_reports_what_is_missing(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        Answers.told = 503, {"ready": False, "detail": "worker: none answered"}
        program = load("steps/ready.py")
        monkeypatch.setattr(program, "PAUSE", 0.01)
        with pytest.raises(SystemExit, match=r"error: not ready after 0 s: worker: none answer"):
            program.wait(url, 0.05, [])

    def test_reports_a_web_tier_that_does_not_answer(self) -> None:
        with pytest.raises(SystemExit, match="the web tier does not answer"):
            load("steps/ready.py").wait("http://127.0.0.1:9/ready", 0, [])

    def test_reports_a_unit_that_keeps_restarting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        program = load("steps/ready.py")

        def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(command, 0, "5\n" if "worker" in command[-1] else "")

        monkeypatch.setattr(program.subprocess, "run", run)
        with pytest.raises(SystemExit, match="has restarted 5 times"):
            program.give_up_on_restarts(["stackserve-worker@1.service"])

    @pytest.mark.parametrize("timeout", [600, 1800, 3600])
    def test_gives_up_after_the_given_time_and_not_before(
        self, timeout: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = load("steps/ready.py")
        clock = Clock()
        monkeypatch.setattr(program, "time", clock)
        monkeypatch.setattr(program, "ask", lambda _url: ({}, "worker (none answered)"))
        with pytest.raises(SystemExit, match=f"not ready after {timeout} s: worker"):
            program.wait("http://127.0.0.1/ready", timeout, [])
        assert timeout < clock.slept <= timeout + 2 * program.PAUSE

    def test_waits_as_long_as_the_user_data_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        program = load("steps/ready.py")
        asked: list[float] = []

        def wait(_url: str, timeout: float, _units: list[str]) -> str:
            asked.append(timeout)
            return "diabetes-1"

        def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(command, 0, "stackserve-web.service\n")

        monkeypatch.setattr(program, "wait", wait)
        monkeypatch.setattr(program.subprocess, "run", run)
        settings = step_settings(context(ready_timeout=2700), b"")
        for name in ("ROLE", "WEB_PORT", "READY_TIMEOUT"):
            monkeypatch.setenv(name, settings[name])
        with pytest.raises(SystemExit) as ended:
            program.main()
        assert (ended.value.code, asked) == (0, [2700])
