"""Benchmark reports: medians, ratios to a peer's faster setting, the table and the chart."""

from __future__ import annotations

import statistics
from xml.etree import ElementTree

import pytest
from benchmarks import jobs, results
from benchmarks.chart import best_rates, draw
from benchmarks.idle import Idle
from benchmarks.load_generator import Load, LoadResult
from benchmarks.serving import Measurements, SystemRun
from benchmarks.systems import litserve, litserve_batching, ours

ONE, MANY = Load(1), Load(64)


def measurements() -> Measurements:
    """Three rounds of three systems, from requests per second by system, load and round."""
    speeds = {
        ours: {ONE: [700, 900, 800], MANY: [9000, 8000, 10000]},
        litserve: {ONE: [1000, 1000, 1000], MANY: [1300, 1300, 1300]},
        litserve_batching: {ONE: [400, 400, 400], MANY: [2500, 2250, 2000]},
    }
    runs = [
        SystemRun(
            system,
            start_s=5.0 + turn,
            memory_mb=500 + turn,
            idle=Idle(1.0 + turn, 2.0, 500, 600) if system is ours else None,
            results={
                load: LoadResult(rps[turn], 1000 / rps[turn], 9.0, turn)
                for load, rps in loads.items()
            },
        )
        for turn in range(3)
        for system, loads in speeds.items()
    ]
    return Measurements(runs, [0.4, 0.6, 0.5], {"stackserve": 700.4, "litserve": 160.0})


def test_row_has_medians_of_the_rounds_and_the_sum_of_errors() -> None:
    row = results.rows(measurements())[0]
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


def test_ratio_uses_the_peers_faster_setting() -> None:
    rows = results.rows(measurements())
    assert results.ratios(rows) == {"litserve": {"1": 0.8, "64": 4.0}}


def test_ratios_ignore_requests_with_several_rows() -> None:
    rows = results.rows(measurements())
    faster = [{**row, "rows_per_request": 64, "rps": 1e9} for row in rows]
    assert results.ratios(rows + faster) == results.ratios(rows)


def test_latency_is_compared_with_raw_round_trips() -> None:
    measured = measurements()
    assert results.amqp(measured, results.rows(measured)) == {"p50_ms": 0.5, "ours_over_raw": 2.5}


def test_idle_cost_is_a_median() -> None:
    cost = results.idle(measurements())
    assert cost is not None
    assert cost["service_cpu_percent"] == 2.0


def make_report() -> dict[str, object]:
    measured = measurements()
    rows = results.rows(measured)
    return {
        "machine": {**results.machine(), "cpu": "A <fast> & good one"},
        "began": "2026-01-02T03:04:05Z",
        "rounds": 3,
        "rows": rows,
        "ratios": results.ratios(rows),
        "amqp": results.amqp(measured, rows),
        "idle": results.idle(measured),
        "failures": {"mlflow": "it did not start"},
    }


def test_table_lists_every_system_and_failure() -> None:
    text = results.table(make_report())
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


def test_chart_is_xml_with_one_bar_per_peer_and_panel() -> None:
    report = make_report()
    drawing = ElementTree.fromstring(draw(report))
    space = "{http://www.w3.org/2000/svg}"
    bars = drawing.findall(f"{space}rect")
    assert len(bars) == 4
    assert best_rates(report, 64) == {"stackserve": 9000, "litserve": 2250}
    widths = [float(bar.attrib["width"]) for bar in bars[2:]]
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.01)
    assert "A <fast> & good one" in "".join(drawing.itertext())


def test_jobs_report_compares_rows_per_second_with_keras() -> None:
    rounds = [
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
    report = jobs.report(rounds, 100_000)
    assert report["job_rows_per_s"] == 200_000
    assert report["ratios"]["batch_32"] == statistics.median([2.0])
