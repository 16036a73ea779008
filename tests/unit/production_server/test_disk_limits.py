"""On a disk that fills up, new jobs are refused first, and RabbitMQ goes on with predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.jobs.space import reserve
from production_server.local.rabbitmq import RabbitNode
from production_server.places import CHECKOUT

UNITS = {"MB": 1000**2, "GB": 1000**3, "MiB": 1 << 20, "GiB": 1 << 30}


def settings(text: str) -> dict[str, str]:
    lines = [line.partition(" = ") for line in text.splitlines() if not line.startswith("#")]
    return {key: value for key, _, value in lines}


def size(text: str) -> int:
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * factor
    return int(text)


def on_a_server() -> str:
    assert CHECKOUT is not None
    return (CHECKOUT / "cloud-init/files/rabbitmq/stackserve.conf").read_text()


def here(folder: Path) -> str:
    node = RabbitNode(folder)
    node._configure()
    return (folder / "rabbitmq.conf").read_text()


@pytest.mark.parametrize("where", ["server", "here"])
def test_the_brokers_alarm_comes_after_the_stores_reserve(where: str, tmp_path: Path) -> None:
    found = settings(on_a_server() if where == "server" else here(tmp_path))
    assert 0 < size(found["disk_free_limit.absolute"]) < reserve(0)
    # RabbitMQ's log grows while accepted jobs run, on the same disk.
    ten_gb = 10 * UNITS["GB"]
    assert size(found["raft.wal_max_size_bytes"]) < reserve(ten_gb) / 2
