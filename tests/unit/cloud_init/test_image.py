"""A machine that becomes an image: its steps, what is cleaned, and what its servers repeat."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cloud_init.steps import FILES, file, steps_of

CLEAN = file("steps/clean.sh").read_text() + file("steps/forget.sh").read_text()


def test_it_starts_no_service_and_creates_no_account() -> None:
    steps = {step.stage: step for step in steps_of("image", 600)}
    assert set(steps) == {"booting", "packages", "dependencies", "code", "model", "clean"}
    assert set(steps["clean"].after) == {"packages", "model"}


def test_servers_and_workers_connect_to_rabbitmq_and_get_ready() -> None:
    for role, program in (("server", "rabbitmq.sh"), ("worker", "join.py")):
        steps = {step.stage: step.program for step in steps_of(role, 600)}
        assert steps["rabbitmq"] == program
        assert list(steps)[-1] == "ready"
        assert "clean" not in steps


@pytest.mark.parametrize(
    "what",
    [
        "/etc/machine-id",
        "/etc/ssh/ssh_host_*",
        "random-seed",
        "/var/lib/rabbitmq",
        "/etc/stackserve",
        "cloud-init clean --logs",
        "/var/log/journal",
        "authorized_keys|.ssh",
        "_history",
        "/opt/stackserve/contextualize",
        "/var/lib/apt/lists",
    ],
)
def test_everything_specific_to_one_machine_is_cleaned(what: str) -> None:
    assert any(word in CLEAN for word in what.split("|"))


def test_the_next_boot_does_not_count_as_the_first() -> None:
    """Otherwise systemd would enable every installed unit, including RabbitMQ's."""
    assert "truncate -s 0 /etc/machine-id" in CLEAN


@pytest.mark.parametrize(
    ("baked_with", "tested_again"), [("this", False), ("other", True), (None, True)]
)
def test_a_model_that_was_tested_on_the_image_is_not_tested_again(
    tmp_path: Path, baked_with: str | None, tested_again: bool
) -> None:
    script = (FILES / "steps" / "model.sh").read_text()
    for place in ("/opt/stackserve/warmed", "/var/lib/stackserve/models"):
        assert place in script
        script = script.replace(place, str(tmp_path / Path(place).name))
    (tmp_path / "model.sh").write_text(script)
    for part in ("toy-1", ".compiled"):
        (tmp_path / "models" / part).mkdir(parents=True)
    (tmp_path / "services.sh").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "services.sh").chmod(0o755)
    (tmp_path / "systemd-run").write_text(f"#!/bin/sh\ntouch {tmp_path}/tested\n")
    (tmp_path / "systemd-run").chmod(0o755)
    if baked_with:
        (tmp_path / "warmed").write_text(f"{baked_with}\n")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PAYLOAD_SHA256": "this"}
    environment["ROLE"] = "server"
    subprocess.run(["sh", str(tmp_path / "model.sh")], env=environment, check=True)
    assert (tmp_path / "tested").exists() is tested_again
    # The image's model stays only if the code is the image's too and the test was completed. Its
    # machine code is found only by a model that it was made from.
    assert (tmp_path / "models" / "toy-1").exists() is not tested_again
    assert (tmp_path / "models" / ".compiled").exists()
    assert (tmp_path / "warmed.new").exists() is tested_again
    assert (tmp_path / "started").exists()
