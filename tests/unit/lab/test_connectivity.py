"""A switch that passes no packets is restarted once."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from openstack_lab.cloud import connectivity
from openstack_lab.errors import BrokenServiceError

LAB: Any = SimpleNamespace(layout=SimpleNamespace(control="socket"))
ROUTER = SimpleNamespace(project_id="demo")


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Units restarted so far; each reading of the clock is ten seconds later."""
    seen: list[str] = []
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(connectivity.control, "ask", lambda _socket, _what, name: seen.append(name))
    monkeypatch.setattr(connectivity.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(connectivity.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(connectivity, "_routers", lambda _admin: [ROUTER])
    return seen


def test_a_healthy_network_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> None:
    looks = itertools.count()
    monkeypatch.setattr(connectivity, "_connected", lambda *_: next(looks) >= 3)
    connectivity.wait_for_connectivity(None, LAB)
    assert restarts == []


def test_a_network_that_has_failed_must_pass_three_checks_in_a_row(
    monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> None:
    looks = iter([False, True, True, False, True, True, True])
    monkeypatch.setattr(connectivity, "_connected", lambda *_: next(looks))
    connectivity.wait_for_connectivity(None, LAB)
    assert list(looks) == []


def test_a_network_that_passes_at_once_is_checked_once(
    monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> None:
    looks = iter([True, False])
    monkeypatch.setattr(connectivity, "_connected", lambda *_: next(looks))
    connectivity.wait_for_connectivity(None, LAB)
    assert list(looks) == [False]


def test_a_silent_network_gets_a_restarted_switch(
    monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> None:
    monkeypatch.setattr(connectivity, "_connected", lambda *_: bool(restarts))
    connectivity.wait_for_connectivity(None, LAB)
    assert restarts == ["switch"]


def test_a_network_that_stays_silent_is_reported_after_one_repair(
    monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> None:
    monkeypatch.setattr(connectivity, "_connected", lambda *_: False)
    with pytest.raises(BrokenServiceError, match="project demo"):
        connectivity.wait_for_connectivity(None, LAB)
    assert restarts == ["switch"]
