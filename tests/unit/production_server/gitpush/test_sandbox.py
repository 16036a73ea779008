"""The units that handle what was pushed."""

from __future__ import annotations

import configparser
import subprocess
from collections.abc import Sequence
from pathlib import Path

from production_server.gitpush.sandbox import SANDBOX, Systemd
from tests.unit.cloud_init.steps import file


def properties(command: Sequence[str]) -> list[str]:
    return [word.removeprefix("--property=") for word in command if word.startswith("--property=")]


def test_the_gate_runs_where_it_can_do_no_harm() -> None:
    command = Systemd().check()
    assert command[0] == "systemd-run"
    assert command[-4:] == ["models", "receive", "-", "--check"]
    set_ = properties(command)
    for needed in (
        *["DynamicUser=yes", "PrivateNetwork=yes", "ProtectSystem=strict", "NoNewPrivileges=yes"],
        *["TemporaryFileSystem=/var/lib/stackserve:ro", "CapabilityBoundingSet="],
    ):
        assert needed in set_
    limited = {line.split("=")[0] for line in set_}
    assert {"MemoryMax", "MemorySwapMax", "RuntimeMaxSec", "TasksMax", "LimitFSIZE"} <= limited
    # It never sees the broker's password.
    assert not [line for line in set_ if line.startswith("EnvironmentFile") and "server" in line]
    hidden = next(line for line in set_ if line.startswith("InaccessiblePaths"))
    assert "/etc/stackserve/server.env" in hidden


def test_it_has_all_that_shuts_the_services_in() -> None:
    services = configparser.ConfigParser(interpolation=None)
    services.optionxform = str  # type: ignore[assignment,method-assign]
    services.read_string(file("systemd/sandbox.conf").read_text())
    sandbox = dict(line.split("=", 1) for line in SANDBOX)
    # The gate needs no network at all.
    families = "RestrictAddressFamilies"
    ours = {key: value for key, value in services["Service"].items() if key != families}
    assert {key: sandbox.get(key) for key in ours} == ours


def test_systemd_knows_every_property(tmp_path: Path) -> None:
    unit = tmp_path / "gate.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n" + "\n".join(SANDBOX) + "\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert "Unknown" not in done.stderr
    assert "Failed to parse" not in done.stderr


def test_only_then_it_goes_live_as_the_service() -> None:
    command = Systemd().activate()
    assert command[-4:] == ["models", "receive", "-", "--activate"]
    assert {"User=stackserve", "EnvironmentFile=/etc/stackserve/server.env"} <= {
        *properties(command)
    }
