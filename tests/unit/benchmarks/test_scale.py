"""The scale benchmark without running it: efficiencies, limits, the table, addresses and quotas."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
from benchmarks.scale import command, quota, report
from benchmarks.scale.chart import draw
from benchmarks.scale.meter import Usage
from benchmarks.scale.network import (
    MOST_HOSTS,
    NETWORK,
    front_address,
    front_commands,
    host_address,
    host_commands,
)
from benchmarks.scale.quota import PERIOD, Group, own_group, top

PLAN = {"quota": 25, "web_processes": 2, "rows_per_request": 8, "rounds": 2}


def figures(rate: float, hosts: float, **more: Any) -> dict[str, Any]:
    """What 10 s of a job or of a load took."""
    parts = {"web": 1.0, "recorder": 2.0, "rabbitmq": 0.5, "hosts": hosts}
    usage = {"seconds": 10.0, "parts": parts, "idle": 5.0}
    return {"rate": rate, "count": 100_000, "usage": usage, **more}


def answers(rate: float, connections: int = 64) -> dict[str, Any]:
    return figures(rate, 0.0, connections=connections, p50_ms=12.0, errors=0)


MEASURED: dict[str, Any] = {
    "steps": [
        {"hosts": 1, "job": figures(1000, 2.5), "answers": answers(200)},
        {"hosts": 4, "job": figures(3600, 9.0), "answers": answers(400)},
    ],
    "feed": {"job": figures(50_000, 9.0), "answers": [answers(5000)]},
}


@pytest.fixture
def whole() -> dict[str, Any]:
    measured = report.summarize(copy.deepcopy(MEASURED), PLAN)
    machine = {"cores": 4, "cpu": "A <fast> one"}
    return {"plan": PLAN, "machine": machine, "began": "2026-01-02T03:04:05Z", **measured}


def test_efficiency_is_relative_to_one_host() -> None:
    assert report.efficiency({1: 100, 2: 190, 4: 340}) == {1: 1.0, 2: 0.95, 4: 0.85}


def test_efficiency_without_one_host_is_relative_to_the_fewest() -> None:
    assert report.efficiency({2: 200, 8: 600}) == {2: 1.0, 8: 0.75}
    assert report.efficiency({1: 0.0}) == {1: 0.0}


def test_costs_and_limits_follow_from_the_processor_time(whole: dict[str, Any]) -> None:
    job = whole["feed"]["job"]
    # 1 s of the web tier for 100,000 rows: 10 ms for 1,000, so 1% of a core for 1,000 a second.
    assert job["cpu_ms_per_1000"] == {"web": 10.0, "recorder": 20.0, "rabbitmq": 5.0}
    assert job["limits"] == {
        "web": 200_000,  # two processes
        "recorder": 50_000,
        "rabbitmq": 200_000,
        "one_core": 28_571,
    }


def test_cores_are_means_over_the_time(whole: dict[str, Any]) -> None:
    used = whole["steps"][1]["job"]["cores"]
    assert used == {"web": 0.1, "recorder": 0.2, "rabbitmq": 0.05, "hosts": 0.9, "idle": 0.5}


def test_usage_of_rounds_adds_up() -> None:
    usage = Usage()
    usage.add(Usage(1.0, {"web": 0.5}, 0.25))
    usage.add(Usage(2.0, {"web": 1.0}, 0.25))
    assert usage == Usage(3.0, {"web": 1.5}, 0.5)


def test_tables_have_a_line_for_each_number_of_hosts(whole: dict[str, Any]) -> None:
    job, load, feed = (
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n")]
        for table in report.table(whole).split("\n\n")
    )
    assert job[2] == ["1", "1,000", "1.00", "100%", "0.35", "0.50"]
    assert job[3] == ["4", "3,600", "0.90", "90%", "0.35", "0.50"]
    assert load[3] == ["4", "400", "0.50", "12 ms", "0%", "0.35", "0.50"]
    assert feed[2][:6] == ["A job", "50,000 rows/s", "0.50", "1.00%", "2.00%", "0.50%"]
    assert feed[2][6:] == ["Recorder, 50,000 rows/s", "28,571 rows/s"]
    assert feed[3][:2] == ["64 connections", "5,000 requests/s"]
    assert all(len(line) == len(table[0]) for table in (job, load, feed) for line in table)


def test_table_without_the_front_ends_limit(whole: dict[str, Any]) -> None:
    assert "First limit" not in report.table({**whole, "feed": {}})


def test_chart_is_xml_with_a_bar_for_each_number_of_hosts(whole: dict[str, Any]) -> None:
    drawing = ElementTree.fromstring(draw(whole))
    assert len(drawing.findall("{http://www.w3.org/2000/svg}rect")) == 4
    text = "".join(drawing.itertext())
    assert "3,600 (0.90)" in text
    assert "Requests per second, 8 rows each" in text


def test_every_address_is_in_the_network_and_different() -> None:
    addresses = [front_address(), *(host_address(n) for n in range(1, MOST_HOSTS + 1))]
    assert len(set(addresses)) == MOST_HOSTS + 1
    usable = set(NETWORK.hosts())
    assert {address.ip for address in addresses} <= usable
    for number in (0, MOST_HOSTS + 1):
        with pytest.raises(ValueError, match="there is no host"):
            host_address(number)


def test_interface_names_fit_into_the_kernels_limit() -> None:
    lines = [*front_commands(), *host_commands(MOST_HOSTS, 4_194_304)]
    added = [line[line.index("add") + 1] for line in lines if "link" in line and "add" in line]
    assert max(map(len, added)) <= 15


def fake_group(root: Path, *, unified: bool) -> Group:
    (root / "cpu").mkdir()
    if unified:
        (root / "cgroup.controllers").write_text("cpuset cpu io\n")
    else:
        (root / "cpu" / "cpu.cfs_quota_us").write_text("-1")
        (root / "cgroup.controllers").write_text("\n")
    return top(root)


def test_quota_in_version_2(tmp_path: Path) -> None:
    group = fake_group(tmp_path, unified=True).child("one")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"
    group.limit(25)
    assert (tmp_path / "one" / "cpu.max").read_text() == f"{PERIOD // 4} {PERIOD}"
    group.limit(None)
    assert (tmp_path / "one" / "cpu.max").read_text() == f"max {PERIOD}"


def test_quota_in_version_1(tmp_path: Path) -> None:
    group = fake_group(tmp_path, unified=False).child("one")
    group.limit(25)
    assert (tmp_path / "cpu" / "one" / "cpu.cfs_quota_us").read_text() == str(PERIOD // 4)
    assert (tmp_path / "cpu" / "one" / "cpu.cfs_period_us").read_text() == str(PERIOD)
    group.limit(None)
    assert (tmp_path / "cpu" / "one" / "cpu.cfs_quota_us").read_text() == "-1"


def test_without_control_groups_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="limits the processor"):
        top(tmp_path)


def test_groups_of_runs_that_were_killed_are_removed(tmp_path: Path) -> None:
    machine = fake_group(tmp_path, unified=False)
    killed, running = (tmp_path / "cpu" / f"{quota.PREFIX}{pid}" for pid in ("4194305", "1"))
    (killed / "host1").mkdir(parents=True)
    running.mkdir()
    own = own_group(machine)
    assert own.path.is_dir()
    assert running.is_dir()
    assert not killed.exists()


def test_only_root_can_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="sudo scripts/bench scale"):
        command.check_requirements()


def test_numbers_of_hosts_are_sorted() -> None:
    assert command.Counts().convert("4,1,2,2", None, None) == [1, 2, 4]


@pytest.mark.parametrize("wrong", ["", "0", "1,x", f"{MOST_HOSTS + 1}"])
def test_impossible_numbers_of_hosts_are_refused(wrong: str) -> None:
    with pytest.raises(click.BadParameter):
        command.Counts().convert(wrong, None, None)
