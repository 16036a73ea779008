"""Nova's faults explained, and a watch of a server that needs no code or never gets it.

tests/integration/test_code_delivery.py delivers it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client.cloud.resources import Server
from openstack_client.errors import ContextualizationError, TimedOut
from openstack_client.roles import Ask, ours
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget
from openstack_client.watch.tunnel import Way
from openstack_client.watch.wait import ReadyWatch, fault
from tests.unit.openstack_client.recording_display import RecordingDisplay


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("No valid host was found. There are not enough hosts available.", "room for flavor 'big'"),
        ("Exceeded maximum number of retries.", "Every hypervisor that Nova tried"),
        ("Build of instance aborted: Volume x did not finish", "volume quota"),
        ("Block Device Mapping is Invalid.", "volume quota"),
        ("", "cloud's operators"),
    ],
)
def test_each_fault_has_advice(reason: str, remedy: str) -> None:
    error = fault(Server("s1", "x", "ERROR", fault=reason, flavor="big", zone="south"))
    assert error.exit_code == 6
    assert "is in ERROR. Nova says: " in error.what
    assert (reason.rstrip(".") or "no reason given") in error.what
    assert remedy in error.remedy


def test_no_valid_host_names_the_zone() -> None:
    error = fault(Server("s1", "x", "ERROR", fault="No valid host was found.", zone="south"))
    assert "No hypervisor in zone south" in error.remedy


class Console:
    """A minimal cloud: an existing server and its console."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.nova = SimpleNamespace(servers=self)

    def request(self, service: str, doing: str, call: Callable[[], Any]) -> Any:
        return call()

    def get(self, server_id: str) -> Any:
        return SimpleNamespace(id=server_id, name="x", status="ACTIVE")

    def get_console_output(self, server_id: str, length: int | None) -> str:
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ReadyWatch]:
    monkeypatch.setattr("openstack_client.watch.boot.CONSOLE_EVERY", 0.0)

    def make(*console: str, **more: Any) -> ReadyWatch:
        cloud: Any = Console(*console or ("",))
        return ReadyWatch(
            cloud=cloud,
            server=Server("s1", "x", "ACTIVE"),
            target=SshTarget("127.0.0.1", "debian", None, tmp_path / "known_hosts"),
            payload=b"the code",
            progress=Progress(RecordingDisplay()),
            meanwhile=lambda: None,
            sleep=lambda seconds: None,
            **{"way": Way("127.0.0.1", 1)} | more,
        )

    return make


def notes(watch: ReadyWatch) -> list[str]:
    assert isinstance(watch.progress.display, RecordingDisplay)
    return watch.progress.display.notes


def test_code_is_not_sent_to_a_server_that_already_has_it(
    watch: Callable[..., ReadyWatch],
) -> None:
    text = "STACKSERVE stage=code state=begin t=9.0\nSTACKSERVE stage=code state=done t=9.5\n"
    followed = watch(text)
    followed.wait_until_delivered(timeout=0)
    assert notes(followed) == []


def test_a_step_that_fails_before_delivery_is_reported(watch: Callable[..., ReadyWatch]) -> None:
    failed = 'STACKSERVE stage=packages state=failed t=33.0 detail="no such package"\n'
    with pytest.raises(ContextualizationError, match="'packages' failed on the server 33 s"):
        watch(failed).wait_until_delivered(timeout=30)
    both = "STACKSERVE stage=code state=done t=9.5\n" + failed
    with pytest.raises(ContextualizationError, match="no such package"):
        watch(both).wait_until_delivered(timeout=30)


def test_a_server_that_never_listens(watch: Callable[..., ReadyWatch]) -> None:
    begun = "STACKSERVE stage=code state=begin t=9.0\n"
    with pytest.raises(TimedOut, match=r"Code not delivered.*code in progress"):
        watch(begun).wait_until_delivered(timeout=0)


@pytest.mark.parametrize("wait", ["wait_until_delivered", "wait_until_ready"])
def test_a_server_that_runs_for_long_is_left_alone(
    watch: Callable[..., ReadyWatch], wait: str
) -> None:
    """Its console may have forgotten the stages, and nobody here may have its host key."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    watched = ours("server").watched.model_copy(update={"ask": Ask.PAGE})
    with HTTPServer(("127.0.0.1", 0), Page) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        followed = watch(way=Way("127.0.0.1", web.server_port), watched=watched)
        getattr(followed, wait)(10)
        web.shutdown()
        thread.join()
    assert notes(followed) == []
