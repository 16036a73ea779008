"""OpenRC files, clouds.yaml, secrets, and the compute hosts of each project."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from openstack_lab.cloud.projects import hosts_of_projects
from openstack_lab.credentials import clouds_yaml, write_all
from openstack_lab.lab import Choices, Lab, find, load_secrets, save_choices, write_private
from openstack_lab.layout import Layout
from openstack_lab.settings import Hypervisor, from_environment


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    layout = Layout(from_environment(str(tmp_path), environment={}))
    return Lab(layout, load_secrets(layout), Choices(Hypervisor.BOTH))


def test_the_openrc_file_sets_its_variables_and_clears_others(lab: Lab) -> None:
    file = write_all(lab)["lab"]
    script = f"export OS_CLOUD=other no_proxy=example.org; . {file}; env"
    shown = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/bin"}
    ).stdout
    variables = dict(line.partition("=")[::2] for line in shown.splitlines())
    assert "OS_CLOUD" not in variables
    assert variables["OS_USERNAME"] == "demo" and variables["OS_PASSWORD"] == lab.secrets.demo
    assert variables["OS_AUTH_URL"] == "http://172.24.5.2:5000/v3"
    assert variables["OS_PROJECT_NAME"] == "demo" and variables["OS_IDENTITY_API_VERSION"] == "3"
    assert variables["no_proxy"] == "example.org,172.24.5.2"


def test_clouds_yaml_has_every_kind_of_user(lab: Lab) -> None:
    clouds = yaml.safe_load(clouds_yaml(lab))["clouds"]
    assert set(clouds) == {"lab", "lab-admin", "lab-fake"}
    assert clouds["lab"]["auth"]["project_name"] == "demo"
    assert clouds["lab-fake"]["auth"]["project_name"] == "demo-fake"


def test_files_with_secrets_are_private(lab: Lab) -> None:
    files = [*write_all(lab).values(), lab.layout.secrets, lab.layout.folder / "clouds.yaml"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_secrets_are_generated_once(lab: Lab) -> None:
    assert load_secrets(lab.layout) == lab.secrets
    assert len(set(vars(lab.secrets).values())) == 6


def test_the_options_of_up_are_the_defaults_of_down(tmp_path: Path) -> None:
    """So that `down` without flags removes the right network."""
    layout = find(str(tmp_path))
    save_choices(layout, Choices(Hypervisor.FAKE, "10.9.0.0/22", "/kept"))
    found = find(str(tmp_path)).settings
    assert str(found.network) == "10.9.0.0/22" and found.cache == Path("/kept")
    explicit = find(str(tmp_path), "/other", "10.8.0.0/22").settings
    assert str(explicit.network) == "10.8.0.0/22" and explicit.cache == Path("/other")


def test_an_unchanged_file_is_not_written(tmp_path: Path) -> None:
    assert write_private(tmp_path / "a", "text") is True
    assert write_private(tmp_path / "a", "text") is False


@pytest.mark.parametrize(
    ("real", "fake", "hosts"),
    [
        (True, False, {"lab": ["demo"]}),
        (False, True, {"lab-fake": ["demo", "demo-fake"]}),
        (True, True, {"lab": ["demo"], "lab-fake": ["demo-fake"]}),
    ],
)
def test_projects_select_their_compute_hosts(
    real: bool, fake: bool, hosts: dict[str, list[str]]
) -> None:
    assert hosts_of_projects(real, fake) == hosts
