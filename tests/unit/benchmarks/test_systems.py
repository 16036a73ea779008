"""The benchmark systems: pinned requirements, request bodies, responses and commands."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.cli import choose_systems, command
from benchmarks.reference import Reference
from benchmarks.serving import Plan
from benchmarks.systems import ALL, PEER_NAMES, PEERS, RunContext, System, ours

ROWS = [{"glucose": 148.0, "bmi": 33.6}, {"glucose": 85.0, "bmi": 26.6}]
# The response of each system's framework to two rows.
RESPONSES: dict[str, Any] = {
    "stackserve": {"predictions": [{"probability": 0.7}, {"probability": 0.1}]},
    "fastapi_onnx": [{"label": "a", "probability": 0.7}, {"label": "b", "probability": 0.1}],
    "litserve": {"probability": [0.7, 0.1]},
    "bentoml": [0.7, 0.1],
    "mlflow": {"predictions": {"probability": [[0.7], [0.1]]}},
    "ray_serve": {"probability": [0.7, 0.1]},
    "tutorial": {"probability": [0.7, 0.1]},
}


@pytest.mark.parametrize("peer", PEER_NAMES)
def test_peer_requirements_are_pinned(peer: str) -> None:
    lines = (PEERS / peer / "requirements.txt").read_text().splitlines()
    assert len(lines) > 5
    assert [line for line in lines if not re.fullmatch(r"[\w.\-\[\]]+==[\w.]+( ;.*)?", line)] == []


@pytest.mark.parametrize("system", ALL, ids=lambda system: system.name)
def test_predictions_keep_the_order_of_the_rows(system: System) -> None:
    assert system.read(RESPONSES[system.peer]) == [0.7, 0.1]


@pytest.mark.parametrize("system", ALL, ids=lambda system: system.name)
def test_request_body_has_every_value_of_every_row(system: System) -> None:
    for rows in (ROWS[:1], ROWS):
        sent = json.dumps(json.loads(system.request_body(rows)))
        values = [json.dumps(value) for row in rows for value in row.values()]
        assert all(sent.count(value) == 1 for value in values)


@pytest.mark.parametrize("system", ALL, ids=lambda system: system.name)
def test_system_runs_in_its_own_environment_on_its_own_port(system: System) -> None:
    context = RunContext(5999, Path("/venv"), Path("/model"), Path("/scratch"), "amqp://")
    environment = system.env(context)
    commands = system.commands(context)
    assert all(command[0].startswith("/venv/bin/") for command in commands)
    assert environment["PATH"].startswith("/venv/bin")
    assert "5999" in json.dumps([commands, environment["BENCH_PORT"]])
    assert system.folder.is_dir()


def test_stackserve_is_first_and_only_selects_peers() -> None:
    assert [system.name for system in choose_systems(False, ("litserve",))] == [
        "stackserve",
        "litserve",
        "litserve_batching",
    ]
    assert choose_systems(False, ())[0] is ours
    assert len({system.peer for system in choose_systems(True, ())}) == 3


def test_report_has_the_command_that_repeats_it() -> None:
    plan = Plan(
        systems=choose_systems(False, ("mlflow", "litserve")),
        loads=[],
        rounds=2,
        seconds=5,
        niceness=-5,
        cache=Path("/cache"),
        model=Path("/model"),
        reference=Reference("m-1", [], []),
    )
    assert command(plan) == (
        "scripts/bench serving --rounds 2 --seconds 5 --nice -5 --only litserve --only mlflow"
    )
    assert command(replace(plan, systems=ALL, niceness=None)) == (
        "scripts/bench serving --rounds 2 --seconds 5"
    )
