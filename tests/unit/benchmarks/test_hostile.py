"""The hostile benchmark: its percentiles, its table, and that each attack ends in time."""

from __future__ import annotations

import asyncio
import time

import pytest
from benchmarks.hostile import attacks
from benchmarks.hostile.attacks import ATTACKS, Target, attack
from benchmarks.hostile.command import COLUMNS, table
from benchmarks.hostile.measure import row_of
from benchmarks.hostile.steady import Latencies
from benchmarks.processes import free_port


def test_percentiles_are_in_milliseconds() -> None:
    report = Latencies([number / 1000 for number in range(1, 101)], errors=2).report()
    assert report == {"p50_ms": 51, "p99_ms": 100, "max_ms": 100, "requests": 100, "errors": 2}


def test_the_rounds_of_each_side_count_together() -> None:
    alone, attacked = Latencies([0.001] * 99, errors=1), Latencies([0.002] * 99)
    alone.add(Latencies([0.004] * 1))
    attacked.add(Latencies([0.007] * 2, errors=1))
    row = row_of("a name", alone, attacked, 5_000_000)
    assert (row["p99_ms"], row["attacked_p99_ms"], row["ratio"]) == (4, 7, 1.75)
    assert (row["errors"], row["peak_mb"]) == (2, 5)
    assert set(row) == set(COLUMNS)


def test_table_has_a_line_for_each_attack() -> None:
    row = dict.fromkeys(COLUMNS, 1.5) | {"attack": "a long name"}
    lines = table([row, row]).splitlines()
    assert len(lines) == 3
    assert lines[0].split() == " ".join(COLUMNS.values()).split()
    assert lines[1].startswith("a long name  ")


@pytest.mark.parametrize("name", ["200 clients that drip a body", "1,500 idle connections"])
def test_an_attack_ends_in_time_even_without_a_server(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attacks, "SLOW", 5)
    monkeypatch.setattr(attacks, "IDLE", 5)
    assert name in ATTACKS
    started = time.monotonic()
    asyncio.run(attack(name, Target(free_port(), "/jobs/x/result"), 0.3))
    assert capsys.readouterr().out == "attacking\n"
    assert 0.25 < time.monotonic() - started < 2
