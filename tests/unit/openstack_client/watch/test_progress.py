"""Progress as plain lines, JSON events and a live table."""

from __future__ import annotations

import io
import json

from rich.console import Console

from openstack_client.watch.progress import (
    JsonDisplay,
    LiveDisplay,
    PlainDisplay,
    Progress,
    display,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def story(progress: Progress, clock: Clock) -> None:
    clock.now += 1
    progress.stage("requested", "done", "id-1")
    progress.stage("building", "begin", "BUILD, spawning")
    progress.stage("building", "begin", "BUILD, networking")
    clock.now += 4
    progress.stage("building")
    progress.stage("building", "begin")
    progress.note("something")
    progress.console("line")
    progress.console("line")
    progress.stage("packages", "failed", "E: no package")


def test_plain_lines() -> None:
    clock, stream = Clock(), io.StringIO()
    story(Progress(PlainDisplay(stream), clock), clock)
    assert stream.getvalue().splitlines() == [
        "[   1.0 s] requested done (1.0 s): id-1",
        "[   1.0 s] building started: BUILD, spawning",
        "[   5.0 s] building done (4.0 s)",
        "[   5.0 s] something",
        "           | line",
        "[   5.0 s] packages FAILED: E: no package",
    ]


def test_json_events() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(JsonDisplay(stream), clock)
    story(progress, clock)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert events[0] == {
        "event": "stage",
        "stage": "requested",
        "state": "done",
        "seconds": 1.0,
        "took": 1.0,
        "detail": "id-1",
    }
    assert [event["event"] for event in events[3:]] == ["note", "console", "console", "stage"]
    assert progress.timeline()[1]["took"] == 4.0


def test_the_live_table_shows_every_stage() -> None:
    clock, stream = Clock(), io.StringIO()
    live = LiveDisplay(Console(file=stream, force_terminal=True, width=100), "Deploying 'web'")
    story(Progress(live, clock), clock)
    live.close()
    shown = stream.getvalue()
    for words in ("Deploying 'web'", "requested", "dependencies", "E: no package", "line"):
        assert words in shown


def test_each_worker_vm_has_its_own_line() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(PlainDisplay(stream), clock)
    other = progress.of("worker-1")
    clock.now += 2
    progress.stage("building")
    other.stage("building", "begin", "BUILD")
    other.note("code delivered")
    other.console("a line of its console")
    assert stream.getvalue().splitlines() == [
        "[   2.0 s] building done (2.0 s)",
        "[   2.0 s] worker-1 building started: BUILD",
        "[   2.0 s] worker-1: code delivered",
    ]
    assert other.timeline()[0]["server"] == "worker-1" and "server" not in progress.timeline()[0]


def test_the_live_table_has_a_row_for_each_worker_vm() -> None:
    clock, stream = Clock(), io.StringIO()
    live = LiveDisplay(Console(file=stream, force_terminal=True, width=100), "Deploying 'web'")
    progress = Progress(live, clock)
    progress.stage("requested")
    progress.of("worker-1").stage("packages", "begin", "apt")
    progress.of("worker-2").stage("building", "failed", "No valid host")
    live.close()
    for words in ("worker-1", "packages apt", "worker-2", "building No valid host"):
        assert words in stream.getvalue()


def test_a_pipe_gets_plain_lines() -> None:
    assert isinstance(display(False, io.StringIO(), "x"), PlainDisplay)
    assert isinstance(display(True, io.StringIO(), "x"), JsonDisplay)
