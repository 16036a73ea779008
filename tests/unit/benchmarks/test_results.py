"""What is told of what was measured: medians, ratios to a peer's better setting, the table."""

from __future__ import annotations

import statistics
from xml.etree import ElementTree

import pytest
from benchmarks import jobs, results
from benchmarks.chart import best, draw
from benchmarks.idle import Idle
from benchmarks.load import Cell, Seen
from benchmarks.serving import Measured, Visit
from benchmarks.systems import litserve, litserve_batching, ours

ONE, MANY = Cell(1), Cell(64)


def measured() -> Measured:
    """Three rounds of three systems; requests per second of a round by system and load."""
    speeds = {
        ours: {ONE: [700, 900, 800], MANY: [9000, 8000, 10000]},
        litserve: {ONE: [1000, 1000, 1000], MANY: [1300, 1300, 1300]},
        litserve_batching: {ONE: [400, 400, 400], MANY: [2500, 2250, 2000]},
    }
    visits = [
        Visit(
            system,
            start_s=5.0 + turn,
            memory_mb=500 + turn,
            idle=Idle(1.0 + turn, 2.0, 500, 600) if system is ours else None,
            seen={
                cell: Seen(rps[turn], 1000 / rps[turn], 9.0, turn) for cell, rps in cells.items()
            },
        )
        for turn in range(3)
        for system, cells in speeds.items()
    ]
    return Measured(visits, [0.4, 0.6, 0.5], {"stackserve": 700.4, "litserve": 160.0})


def test_a_row_is_the_median_of_the_rounds_with_the_errors_of_all() -> None:
    row = results.rows(measured())[0]
    assert row == {
        "system": "stackserve",
        "connections": 1,
        "rows_per_request": 1,
        "rps": 800,
        "p50_ms": 1.25,
        "p99_ms": 9.0,
        "errors": 3,
        "rss_mb": 501,
        "start_s": 6.0,
        "installed_mb": 700,
    }


def test_a_peer_counts_with_its_better_setting() -> None:
    rows = results.rows(measured())
    assert results.ratios(rows) == {"litserve": {"1": 0.8, "64": 4.0}}


def test_requests_of_many_rows_do_not_count_in_the_ratios() -> None:
    rows = results.rows(measured())
    faster = [{**row, "rows_per_request": 64, "rps": 1e9} for row in rows]
    assert results.ratios(rows + faster) == results.ratios(rows)


def test_our_latency_is_told_in_raw_round_trips() -> None:
    seen = measured()
    assert results.amqp(seen, results.rows(seen)) == {"p50_ms": 0.5, "ours_over_raw": 2.5}


def test_idle_cost_is_a_median() -> None:
    told = results.idle(measured())
    assert told is not None
    assert told["service_cpu_percent"] == 2.0


def a_report() -> dict[str, object]:
    seen = measured()
    rows = results.rows(seen)
    return {
        "machine": {**results.machine(), "cpu": "A <fast> & good one"},
        "began": "2026-01-02T03:04:05Z",
        "rounds": 3,
        "rows": rows,
        "ratios": results.ratios(rows),
        "amqp": results.amqp(seen, rows),
        "idle": results.idle(seen),
        "failures": {"mlflow": "it did not start"},
    }


def test_the_table_names_every_system_and_every_failure() -> None:
    text = results.table(a_report())
    lines = text.splitlines()
    assert lines[0].split()[0] == "system"
    assert [line.split()[0] for line in lines[1:7]] == [
        "stackserve",
        "stackserve",
        "litserve",
        "litserve",
        "litserve_batching",
        "litserve_batching",
    ]
    assert "Not measured: mlflow: it did not start" in text


def test_the_chart_is_xml_with_a_bar_a_peer_and_panel() -> None:
    report = a_report()
    drawing = ElementTree.fromstring(draw(report))
    space = "{http://www.w3.org/2000/svg}"
    bars = drawing.findall(f"{space}rect")
    assert len(bars) == 4
    assert best(report, 64) == {"stackserve": 9000, "litserve": 2250}
    widths = [float(bar.attrib["width"]) for bar in bars[2:]]
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.01)
    assert "A <fast> & good one" in "".join(drawing.itertext())


def test_jobs_are_told_in_rows_per_second_over_keras() -> None:
    seen = [
        {
            "read_s": 0.2,
            "batch_4096": 0.1,
            "batch_32": 1.0,
            "upload_s": 0.3,
            "job_s": job,
            "result_s": 0.2,
        }
        for job in (0.6, 0.5, 0.4)
    ]
    told = jobs.report(seen, 100_000)
    assert told["job_rows_per_s"] == 200_000
    assert told["ratios"]["batch_32"] == statistics.median([2.0])
