"""What /metrics tells beside the counters of the library."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy.exc import OperationalError

from production_server.jobs.records import Usage
from production_server.web.metrics import Metrics, forget_process


def lines(metrics: Metrics, usage: Usage) -> list[str]:
    text, _ = metrics.text(lambda: usage)
    return text.decode().splitlines()


def test_every_state_of_jobs_is_told_even_without_jobs() -> None:
    told = lines(Metrics(None, CollectorRegistry()), Usage({"running": 2, "done": 7}, 0, None, {}))
    jobs = [line for line in told if line.startswith("stackserve_jobs{")]
    assert jobs == [
        'stackserve_jobs{state="receiving"} 0.0',
        'stackserve_jobs{state="queued"} 0.0',
        'stackserve_jobs{state="running"} 2.0',
        'stackserve_jobs{state="done"} 7.0',
        'stackserve_jobs{state="failed"} 0.0',
        'stackserve_jobs{state="cancelled"} 0.0',
    ]


def test_bytes_and_deleted_jobs_are_told() -> None:
    usage = Usage({}, 5000, 1 << 30, {"space": (3, 900)})
    told = lines(Metrics(None, CollectorRegistry()), usage)
    for line in (
        "stackserve_store_bytes 5000.0",
        "stackserve_store_bytes_limit 1.073741824e+09",
        'stackserve_jobs_deleted_total{reason="age"} 0.0',
        'stackserve_jobs_deleted_total{reason="space"} 3.0',
    ):
        assert line in told


def test_without_a_store_the_rest_is_told() -> None:
    def away() -> Usage:
        raise OperationalError("SELECT", {}, OSError("gone"))

    metrics = Metrics(None, CollectorRegistry())
    metrics.waiting(3)
    text = metrics.text(away)[0].decode()
    assert "stackserve_waiting_requests 3.0" in text
    assert "stackserve_jobs" not in text


def test_an_alarm_of_the_broker_is_told() -> None:
    metrics = Metrics(None, CollectorRegistry())
    assert "stackserve_broker_blocked 0.0" in lines(metrics, Usage({}, 0, None, {}))
    metrics.blocked(True)
    assert "stackserve_broker_blocked 1.0" in lines(metrics, Usage({}, 0, None, {}))
    metrics.blocked(False)
    assert "stackserve_broker_blocked 0.0" in lines(metrics, Usage({}, 0, None, {}))


def test_gauges_of_a_dead_process_are_dropped(tmp_path: Path) -> None:
    """Otherwise an alarm that it saw would be told for ever."""
    names = ("gauge_livemax_7.db", "gauge_livesum_7.db", "counter_7.db", "gauge_livemax_8.db")
    for name in names:
        (tmp_path / name).touch()
    forget_process(tmp_path, 7)
    forget_process(None, 7)
    assert {path.name for path in tmp_path.iterdir()} == {"counter_7.db", "gauge_livemax_8.db"}
