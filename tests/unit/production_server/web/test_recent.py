"""A value is made once for many callers, and again after its time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from flask import Flask

from production_server.access.policy import Scope
from production_server.messaging.workers import WorkerState
from production_server.settings import Settings
from production_server.web import access, operations
from production_server.web.recent import Recent
from production_server.web.services import Services
from tests.unit.production_server.web.callers import bearer, make_access


def test_many_callers_at_once_get_one_value() -> None:
    made: list[int] = []

    def make() -> int:
        time.sleep(0.05)
        made.append(1)
        return len(made)

    recent = Recent(10, make)
    start = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: (start.wait(), recent())[1], range(8)))
    assert values == [1] * 8


def test_a_value_is_made_again_after_its_time() -> None:
    made: list[int] = []
    recent = Recent(0.02, lambda: made.append(1) or len(made))
    assert (recent(), recent()) == (1, 1)
    time.sleep(0.03)
    assert recent() == 2


STATE = WorkerState(models=["demo-1"], load_failures=0, vm=None, taking_tasks=True, missing={})


def test_alive_asks_the_workers_once_for_many_calls(tmp_path: Path) -> None:
    asked: list[float] = []

    def states(timeout: float) -> list[WorkerState]:
        asked.append(timeout)
        return [STATE]

    services: Any = SimpleNamespace(
        settings=Settings(),
        started=time.time(),
        summary=lambda: {"model": "demo"},
        lane=SimpleNamespace(alarm=""),
        workers=SimpleNamespace(states=states),
        access=make_access(folder=tmp_path),
    )
    app = Flask("operations")
    app.register_blueprint(operations.blueprint(cast(Services, services)))
    access.install(app, services.access)
    client = app.test_client()
    assert "workers" not in client.get("/alive").get_json()
    assert not asked
    operator = bearer(services.access, Scope.OPERATE)
    answers = [client.get("/alive", headers=operator).get_json() for _ in range(20)]
    assert all(answer["workers"] == [STATE] for answer in answers)
    assert len(asked) == 1
