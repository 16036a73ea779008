"""The events of the operations page, with real processes: many viewers, slow ones, and the end."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil
import pytest

from production_server.access.policy import Scope
from production_server.access.tokens import Tokens
from production_server.web.events import EVENTS, MOST_VIEWERS
from tests.support.rows import shipped
from tests.support.service import Service, operator

PROCESSES = 2


@pytest.fixture(scope="module")
def headers(services: Service) -> dict[str, str]:
    return operator(services.home)


@contextmanager
def watching(url: str, headers: dict[str, str]) -> Iterator[Iterator[dict[str, str]]]:
    """The events, as they come."""
    with (
        httpx.Client(timeout=20) as client,
        client.stream("GET", url + EVENTS, headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        lines = answer.iter_lines()
        yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))


def figures(services: Service, headers: dict[str, str]) -> dict[str, Any]:
    accept = {"Accept": "application/json", **headers}
    answer = httpx.get(f"{services.url}/operations", headers=accept, timeout=20)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def test_viewers_see_the_predictions_of_all_processes(
    services: Service, headers: dict[str, str]
) -> None:
    _, card = shipped()
    row = {feature.name: feature.default for feature in card.features}
    with ExitStack() as stack:
        viewers = [stack.enter_context(watching(services.url, headers)) for _ in range(4)]
        assert all("traffic" in next(viewer) for viewer in viewers)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            # A connection for each, so that both processes get some.
            assert httpx.post(f"{services.url}/predict", json=row).status_code == 200
        seen = figures(services, headers)["traffic"]
        assert seen["predictions"] > 1
        assert 0 < seen["median"] < 5
        for viewer in viewers:
            assert next(viewer)


def test_nobody_watches_so_nothing_is_computed(services: Service) -> None:
    """Not even a look that a viewer has left behind."""
    time.sleep(2.5)
    processes = services.processes("web")
    before = [sum(process.cpu_times()[:2]) for process in processes]
    time.sleep(3)
    after = [sum(process.cpu_times()[:2]) for process in processes]
    # What the queue's heartbeat and the watch over the model take anyway.
    assert sum(after) - sum(before) < 0.3


def test_the_number_of_viewers_is_limited(services: Service, headers: dict[str, str]) -> None:
    share = MOST_VIEWERS // 2
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=20))
        refused = None
        for _ in range(PROCESSES * share + 1):
            stream = client.stream("GET", services.url + EVENTS, headers=headers)
            answer = stack.enter_context(stream)
            if answer.status_code != 200:
                refused = json.loads(answer.read())
                break
        assert refused is not None
        assert refused["code"] == "too_many_viewers"
    time.sleep(0.5)
    with watching(services.url, headers) as viewer:  # all places are free again
        assert next(viewer)


def test_a_slow_viewer_holds_up_nobody_and_is_dropped(
    services: Service, headers: dict[str, str]
) -> None:
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect(("127.0.0.1", services.port))
        lines = [f"GET {EVENTS} HTTP/1.1", f"Host: 127.0.0.1:{services.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        slow.sendall("\r\n".join([*lines, "", ""]).encode())
        with watching(services.url, headers) as viewer:
            began = time.monotonic()
            for _ in range(5):
                next(viewer)
            assert time.monotonic() - began < 12


def test_a_revoked_token_ends_the_events(services: Service) -> None:
    tokens = Tokens(services.home / "access")
    headers = {"Authorization": f"Bearer {tokens.create('brief', frozenset(Scope), None)}"}
    with watching(services.url, headers) as viewer:
        next(viewer)
        tokens.revoke("brief")
        began = time.monotonic()
        for _ in viewer:
            assert time.monotonic() - began < 15
    assert httpx.get(services.url + EVENTS, headers=headers).status_code == 401


def test_who_may_watch_and_how(services: Service, headers: dict[str, str]) -> None:
    for path in ("/operations", EVENTS):
        assert httpx.get(services.url + path).status_code == 401
        browser = httpx.get(services.url + path, headers={"Accept": "text/html"})
        assert browser.status_code in (303, 401)
    answer = httpx.post(services.url + EVENTS, headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_the_end_of_a_web_process_ends_its_events_at_once(
    services: Service, headers: dict[str, str]
) -> None:
    """Also those of somebody who does not read."""
    with socket.socket() as stuck, watching(services.url, headers) as viewer:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        stuck.connect(("127.0.0.1", services.port))
        lines = [f"GET {EVENTS} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        stuck.sendall("\r\n".join([*lines, "", ""]).encode())
        next(viewer)
        web = services.processes("web")
        children = [child for process in web for child in process.children()]
        assert len(children) == PROCESSES
        began = time.monotonic()
        for child in children:
            child.terminate()
        for _ in viewer:  # raises an error unless it ends cleanly, with its last chunk
            pass
        assert time.monotonic() - began < 2
        _, alive = psutil.wait_procs(children, timeout=5)
        assert alive == []
    services.wait_ready()
    with watching(services.url, headers) as viewer:
        assert next(viewer)
