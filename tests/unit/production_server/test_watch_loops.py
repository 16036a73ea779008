"""No error ends the loops that watch for new versions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from production_server.errors import RegistryError
from production_server.messaging.workers import Workers
from production_server.model.registry import Registry
from production_server.web.current_model import CurrentModel
from production_server.worker import model_cache
from production_server.worker.model_cache import ModelCache

ERRORS = [RegistryError("none is active"), OSError("disk"), ZeroDivisionError("a mistake")]


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "models")
    registry.seed()
    return registry


def newer(registry: Registry) -> str:
    active = registry.active()
    return registry.add(registry.card(active), registry.model_path(active), activate=True).version


def failing_at_first(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Let the registry raise each of the errors once."""
    left, active = list(ERRORS), registry.active

    def raise_or_read() -> str:
        if left:
            raise left.pop(0)
        return active()

    monkeypatch.setattr(registry, "active", raise_or_read)
    return left


def test_the_web_tier_finds_a_new_version_after_errors(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[int] = []
    workers = Workers(Celery(), SimpleNamespace(alarm=""))
    current = CurrentModel(registry, workers, 10, lambda: failures.append(1))
    monkeypatch.setattr(current, "_workers_have", lambda _version: True)
    version = newer(registry)
    failing_at_first(registry, monkeypatch)
    current.watch()
    wait_for(lambda: current.pinned.version == version)
    current.stop()
    assert len(failures) == len(ERRORS)
    assert "ZeroDivisionError: a mistake" in caplog.text


def test_the_worker_loads_a_new_version_after_errors(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(model_cache, "WATCH_SECONDS", 0.05)
    cache = ModelCache(registry)
    loads: list[str] = []
    broken = [MemoryError("no memory")]

    def load(version: str) -> Any:
        loads.append(version)
        if version != first and broken:
            raise broken.pop()
        cache._loaded[version] = Any  # type: ignore[assignment]
        return Any

    first = registry.active()
    monkeypatch.setattr(cache, "_load", load)
    cache.watch()
    failing_at_first(registry, monkeypatch)
    version = newer(Registry(registry.path))
    wait_for(lambda: version in cache.versions())
    cache.stop()
    assert loads == [first, version, version]
    assert cache.failures == len(ERRORS) + 1
    assert "ZeroDivisionError: a mistake" in caplog.text
    assert "MemoryError: no memory" in caplog.text
