"""The deploy benchmark: its user data for the usual way, its ratios and its table."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable

import yaml
from benchmarks.deploy import guests, usual
from benchmarks.deploy.cases import BAKED, BARE, STOCK, USUAL, Line
from benchmarks.deploy.cli import ratios, table

from openstack_client.userdata import NOVA_LIMIT, cloud_init_schema

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
LINES = [
    Line(BARE, 100.0, 50_000),
    Line(BAKED, 130.0, 200_000),
    Line(STOCK, 200.0, 190_000_000),
    Line(USUAL, 900.0, 833_000_000),
]


def text() -> str:
    data = usual.user_data(CERTIFICATE, "http://mirror.example/debian", None)
    return gzip.decompress(data).decode()


def test_the_usual_way_is_what_the_guides_say() -> None:
    config = yaml.safe_load(text())
    assert config["package_update"] and config["package_upgrade"]
    assert config["packages"] == [
        "python3-pip",
        "python3-dev",
        "build-essential",
        "rabbitmq-server",
    ]
    installs = next(step for step in config["runcmd"] if "install" in step)
    assert set(installs[2:]) == {"celery", "keras", "tensorflow", "flask", "amqp"}


def test_it_carries_the_tutorial_and_the_model_and_nova_takes_it() -> None:
    files = {file["path"]: file["content"] for file in yaml.safe_load(text())["write_files"]}
    assert base64.b64decode(files["/opt/tutorial/model.keras"]) == usual.MODEL.read_bytes()
    assert files["/opt/tutorial/server.py"] == (usual.TUTORIAL / "server.py").read_text()
    assert len(usual.user_data(CERTIFICATE * 20, None, None)) < NOVA_LIMIT


def test_cloud_init_understands_it(needs: Callable[[object, str], None]) -> None:
    problems = cloud_init_schema(text())
    needs(problems is not None, "cloud-init is not installed: apt-get install cloud-init")
    assert problems == []


def test_ratios_are_of_one_run() -> None:
    assert ratios(LINES) == {
        "usual / stock, seconds": 4.5,
        "stock / usual, bytes": 0.23,
        "baked / bare, seconds": 1.3,
        "usual / baked, seconds": 6.92,
    }
    assert ratios(LINES[:1]) == {}


def test_a_count_that_is_not_known_gives_no_ratio() -> None:
    assert ratios([LINES[2], Line(USUAL, 900.0, None)]) == {"usual / stock, seconds": 4.5}


def test_the_table_has_a_row_a_line() -> None:
    rows = table([*LINES, Line("other", 1.0, None)]).splitlines()
    assert rows[2:4] == ["| bare guest | 100 | 0.1 |", "| baked image | 130 | 0.2 |"]
    assert rows[-1] == "| other | 1 | ? |"


def test_the_launchers_ssh_command_is_used_without_its_host_key_file() -> None:
    told = "ssh -i /k -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes debian@192.0.2.1"
    login = guests.login_of(told)
    assert login[0] == "ssh"
    assert login[-1] == "debian@192.0.2.1"
    # Of two values ssh takes the first.
    assert login.index("StrictHostKeyChecking=no") < login.index("StrictHostKeyChecking=yes")
