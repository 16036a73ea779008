"""The files for Docker Compose and Docker Swarm match the Compose specification."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[3] / "production_server"
POSTGRES = FOLDER / "containers" / "postgres.yml"
FILES = [FOLDER / "docker-compose.yml", FOLDER / "stack.yml", POSTGRES]
SCHEMA = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())
STACK: dict[str, Any] = yaml.safe_load((FOLDER / "stack.yml").read_text())


def check(path: Path) -> subprocess.CompletedProcess[str]:
    """Validate a file with the schema in check-jsonschema, without network access."""
    return subprocess.run([*SCHEMA, str(path)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_matches_the_specification(path: Path) -> None:
    checked = check(path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_specification_rejects_an_unknown_key(path: Path, tmp_path: Path) -> None:
    wrong = tmp_path / path.name
    wrong.write_text(path.read_text().replace("read_only:", "readonly:"))
    assert check(wrong).returncode == 1


@pytest.mark.parametrize("name", STACK["services"])
def test_services_of_the_stack_have_few_rights(name: str) -> None:
    service = STACK["services"][name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert ("ports" in service) == (name == "web")
    deploy = service["deploy"]
    assert deploy["placement"]["constraints"] == ["node.labels.stackserve == here"]
    assert deploy["update_config"]["failure_action"] == "rollback"
    assert deploy["resources"]["limits"]["memory"]
    own = "rabbitmq.conf" if name == "rabbitmq" else "stackserve_broker_url"
    assert [secret["source"] for secret in service["secrets"]] == [own]
    assert all(secret["mode"] == 0o400 for secret in service["secrets"])


def test_one_container_fills_the_volumes_before_the_others_start() -> None:
    """Several at once would get in each other's way."""
    services = COMPOSE["services"]
    first = {mount.split(":")[0] for mount in services["secrets"]["volumes"]}
    same_image = [services[name] for name in ("web", "recorder", "worker")]
    assert {mount.split(":")[0] for one in same_image for mount in one["volumes"]} <= first
    assert services["rabbitmq"]["depends_on"]["secrets"]
    assert all("rabbitmq" in one["depends_on"] for one in same_image)
