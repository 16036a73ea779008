"""The request log: which requests it has, what it never has, and that nobody can flood it."""

from __future__ import annotations

import json
import logging

import pytest

from production_server.access.policy import Preset
from production_server.web import request_log
from production_server.web.request_log import RequestLog, Which
from tests.unit.production_server.web.fronts import Exchange, make_front
from tests.unit.production_server.web.sites import Site


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "stackserve.requests")
    return caplog


def note(log: RequestLog, status: int = 429, route: str = "/predict") -> None:
    log.note(
        request_id="a-1",
        method="GET",
        route=route,
        status=status,
        caller=None,
        address="192.0.2.1",
        seconds=0.0012,
    )


@pytest.mark.parametrize(
    ("which", "wanted"),
    [
        ("on", [200, 303, 400, 401, 403, 404, 422, 429, 500, 503]),
        ("errors", [401, 403, 429, 500, 503]),
        ("off", []),
    ],
)
def test_which_requests_are_logged(which: Which, wanted: list[int]) -> None:
    statuses = (200, 303, 400, 401, 403, 404, 422, 429, 500, 503)
    assert [status for status in statuses if RequestLog(which).wants(status)] == wanted


def test_a_line_is_json_and_cannot_be_forged(lines: pytest.LogCaptureFixture) -> None:
    note(RequestLog("on"), route='x"\n{"status":200}')
    (line,) = lines.messages
    assert "\n" not in line
    assert json.loads(line) == {
        "id": "a-1",
        "method": "GET",
        "route": 'x"\n{"status":200}',
        "status": 429,
        "who": "anonymous",
        "address": "192.0.2.1",
        "ms": 1.2,
    }


def test_refused_requests_do_not_fill_the_disk(
    lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(request_log.time, "monotonic", lambda: now)
    log = RequestLog("errors")
    for _ in range(1000):
        note(log)
    assert len(lines.messages) == 2 * request_log.LINES_PER_SECOND
    now = 5.0
    note(log)
    note(log)
    more = [json.loads(line) for line in lines.messages[-2:]]
    assert more[0]["left_out"] == 1000 - 2 * request_log.LINES_PER_SECOND
    assert "left_out" not in more[1]


def test_a_prediction_is_logged_by_route_and_without_values(
    lines: pytest.LogCaptureFixture,
) -> None:
    front = make_front(request_log="on")
    Exchange("GET", query=b"glucose=123.456").send(front)
    Exchange("POST").send(front, b'{"glucose": 123.456}')
    Exchange("GET", "/jobs/123.456").send(front)
    assert len(lines.messages) >= 2
    assert not [line for line in lines.messages if "123.456" in line]


def test_flask_logs_the_template_of_the_route(
    lines: pytest.LogCaptureFixture, tmp_path: object
) -> None:
    site = Site(Preset.TOKEN, tmp_path, request_log="on")  # type: ignore[arg-type]
    site.client().get("/jobs/0123456789?secret=1", headers={"Authorization": "Bearer st_x_y"})
    site.client().get("/nothing/secret")
    found = [json.loads(line) for line in lines.messages]
    assert [(line["route"], line["status"]) for line in found] == [
        ("/jobs/<job_id>", 401),
        ("unknown", 404),
    ]
    assert not [line for line in lines.messages if "secret" in line or "st_x" in line]
    site.store.close()
