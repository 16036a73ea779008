"""RabbitMQ's own command, which may be slow or missing its broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import ServiceError
from production_server.remote.rabbitmqctl import RabbitMQ


def broker(folder: Path, script: str, timeout: float = 10) -> RabbitMQ:
    program = folder / "rabbitmqctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return RabbitMQ(str(program), timeout=timeout)


def test_a_command_that_does_not_end_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"list_queues did not end within 0\.2 s"):
        broker(tmp_path, "exec sleep 60", timeout=0.2).rows("queues", "name")


def test_a_command_that_fails_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="add_user failed: the node is down"):
        broker(tmp_path, "echo the node is down >&2; exit 69").run("add_user")
