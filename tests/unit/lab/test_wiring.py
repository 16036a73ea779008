"""Waiting for the routers: a switch that passes nothing is restarted once."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from openstack_lab.cloud import wiring
from openstack_lab.errors import BrokenServiceError

LAB: Any = SimpleNamespace(layout=SimpleNamespace(control="socket"))
ROUTER = SimpleNamespace(project_id="demo")


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Units restarted so far; ten seconds pass at each look at the clock."""
    seen: list[str] = []
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(wiring.control, "ask", lambda _socket, _what, name: seen.append(name))
    monkeypatch.setattr(wiring.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(wiring.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(wiring, "_routers", lambda _admin: [ROUTER])
    return seen


def test_a_healthy_network_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> None:
    looks = itertools.count()
    monkeypatch.setattr(wiring, "_wired", lambda *_: next(looks) >= 3)
    wiring.wait_for_wiring(None, LAB)
    assert restarts == []


def test_a_silent_network_gets_a_fresh_switch(
    monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> None:
    monkeypatch.setattr(wiring, "_wired", lambda *_: bool(restarts))
    wiring.wait_for_wiring(None, LAB)
    assert restarts == ["switch"]


def test_a_network_that_stays_silent_is_reported_after_one_repair(
    monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> None:
    monkeypatch.setattr(wiring, "_wired", lambda *_: False)
    with pytest.raises(BrokenServiceError, match="project demo"):
        wiring.wait_for_wiring(None, LAB)
    assert restarts == ["switch"]
