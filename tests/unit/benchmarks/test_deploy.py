"""The deploy benchmark: the usual cloud-config, the ratios and the table."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable

import yaml
from benchmarks.deploy import guests, usual_config
from benchmarks.deploy.command import ratios, table
from benchmarks.deploy.timelines import BAKED, BARE, STOCK, USUAL, Timeline

from openstack_client.userdata import NOVA_LIMIT, cloud_init_schema

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
TIMELINES = [
    Timeline(BARE, 100.0, 50_000),
    Timeline(BAKED, 130.0, 200_000),
    Timeline(STOCK, 200.0, 190_000_000),
    Timeline(USUAL, 900.0, 833_000_000),
]


def cloud_config() -> str:
    data = usual_config.user_data(CERTIFICATE, "http://mirror.example/debian", None)
    return gzip.decompress(data).decode()


def test_usual_config_follows_the_guides() -> None:
    config = yaml.safe_load(cloud_config())
    assert config["package_update"] and config["package_upgrade"]
    assert config["packages"] == [
        "python3-pip",
        "python3-dev",
        "build-essential",
        "rabbitmq-server",
    ]
    installs = next(step for step in config["runcmd"] if "install" in step)
    assert set(installs[2:]) == {"celery", "keras", "tensorflow", "flask", "amqp"}


def test_usual_config_holds_tutorial_and_model_within_novas_limit() -> None:
    files = {
        file["path"]: file["content"] for file in yaml.safe_load(cloud_config())["write_files"]
    }
    assert base64.b64decode(files["/opt/tutorial/model.keras"]) == usual_config.MODEL.read_bytes()
    assert files["/opt/tutorial/server.py"] == (usual_config.TUTORIAL / "server.py").read_text()
    assert len(usual_config.user_data(CERTIFICATE * 20, None, None)) < NOVA_LIMIT


def test_usual_config_matches_the_cloud_init_schema(needs: Callable[[object, str], None]) -> None:
    problems = cloud_init_schema(cloud_config())
    needs(problems is not None, "cloud-init is not installed: apt-get install cloud-init")
    assert problems == []


def test_ratios_compare_cases_of_one_run() -> None:
    assert ratios(TIMELINES) == {
        "usual / stock, seconds": 4.5,
        "stock / usual, bytes": 0.23,
        "baked / bare, seconds": 1.3,
        "usual / baked, seconds": 6.92,
    }
    assert ratios(TIMELINES[:1]) == {}


def test_unknown_byte_count_gives_no_ratio() -> None:
    assert ratios([TIMELINES[2], Timeline(USUAL, 900.0, None)]) == {"usual / stock, seconds": 4.5}


def test_table_has_one_row_per_case() -> None:
    rows = table([*TIMELINES, Timeline("other", 1.0, None)]).splitlines()
    assert rows[2:4] == ["| bare guest | 100 | 0.1 |", "| baked image | 130 | 0.2 |"]
    assert rows[-1] == "| other | 1 | ? |"


def test_host_key_check_of_the_launchers_ssh_command_is_off() -> None:
    command = "ssh -i /k -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes debian@192.0.2.1"
    login = guests.login_command(command)
    assert login[0] == "ssh"
    assert login[-1] == "debian@192.0.2.1"
    # ssh uses the first value of an option.
    assert login.index("StrictHostKeyChecking=no") < login.index("StrictHostKeyChecking=yes")
