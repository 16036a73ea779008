"""The web tier changes to newer code while it serves: no request fails, whatever happens."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from production_server.local.rabbitmq import free_port
from tests.support.releases import WebTier, make_live, make_release
from tests.support.rows import PATIENT
from tests.support.service import Service
from tests.support.steady import Steady, steady

RATE = 50
RELOADS = 3


@pytest.fixture
def web(services: Service, tmp_path: Path) -> Iterator[WebTier]:
    for name in ("one", "two", "broken"):
        make_release(tmp_path, name)
    app = tmp_path / "releases" / "broken" / "production_server" / "web" / "app.py"
    app.write_text("raise ImportError('this release is broken')\n")
    make_live(tmp_path, "one")
    with WebTier(services, tmp_path, free_port()) as running:
        yield running


def no_failures(found: Steady) -> None:
    found.more(RATE // 2)
    assert not found.failures, found.failures[:3]


def test_no_request_fails_while_releases_change(web: WebTier) -> None:
    with steady(web.url, PATIENT, RATE) as found:
        found.more(20)
        for number in range(RELOADS):
            release = ("two", "one")[number % 2]
            make_live(web.root, release)
            assert web.reload().startswith("MAINPID=")
            found.wait_for(lambda release=release: web.code == release, 20)
            no_failures(found)


def test_a_release_that_does_not_start_changes_nothing(web: WebTier) -> None:
    assert web.process is not None
    main = web.process.pid
    with steady(web.url, PATIENT, RATE) as found:
        found.more(20)
        make_live(web.root, "broken")
        assert "did not start" in web.reload()
        assert web.code == "one"
        # The next one is not held up by it.
        make_live(web.root, "two")
        assert web.reload().startswith("MAINPID=")
        found.wait_for(lambda: web.code == "two", 20)
        no_failures(found)
    assert web.process.pid != main


def test_a_successor_that_is_killed_changes_nothing(web: WebTier) -> None:
    assert web.process is not None
    children = {child.pid for child in web.process.children()}
    with steady(web.url, PATIENT, RATE) as found:
        make_live(web.root, "two")
        web.process.send_signal(signal.SIGUSR2)
        while not (new := {child.pid for child in web.process.children()} - children):
            time.sleep(0.01)
        os.kill(new.pop(), signal.SIGKILL)
        found.more(RATE)
        assert not found.failures, found.failures[:3]
        assert {child.pid for child in web.process.children()} == children


def test_an_old_process_says_which_answer_is_its_last(web: WebTier) -> None:
    assert web.process is not None
    old = [web.process, *web.process.children()]
    answers = []
    make_live(web.root, "two")
    with httpx.Client(base_url=web.url) as client, ThreadPoolExecutor(1) as pool:
        reload = pool.submit(web.reload)
        while not reload.done() or answers[-1][0] == "one":
            answer = client.get("/alive")
            answers.append((answer.json()["code_hash"], answer.headers.get("connection")))
            time.sleep(0.2)
    # The connection stays with an old process until then.
    last = answers.index(("one", "close"))
    assert set(answers[:last]) <= {("one", None)}
    assert answers[-1][0] == "two"
    _, left = psutil.wait_procs(old, 20)
    assert not left


def test_told_to_stop_in_the_middle_it_leaves_nobody(web: WebTier) -> None:
    assert web.process is not None
    everybody = [web.process, *web.process.children()]
    web.process.send_signal(signal.SIGUSR2)
    while len(web.process.children()) < len(everybody):
        time.sleep(0.01)
    everybody = [web.process, *web.process.children(recursive=True)]
    web.process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(everybody, 30)
    assert not left
