"""Several users share a project but not their keypairs: what each can do with a deployment."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.deploy.conftest import Launcher
from tests.support.lab_project import Project


@pytest.fixture
def colleague(launcher: Launcher, project: Project, tmp_path: Path) -> Iterator[Launcher]:
    """Another member of the project, on their own machine."""
    identity = project.admin.identity
    name, password = f"colleague-{secrets.token_hex(3)}", secrets.token_urlsafe(12)
    user = identity.create_user(name=name, password=password, domain_id="default")
    identity.assign_project_role_to_user(project.id, user, identity.find_role("member"))
    home = tmp_path / "colleague"
    home.mkdir()
    theirs = {"OS_USERNAME": name, "OS_PASSWORD": password, "HOME": str(home)}
    yield replace(launcher, env=launcher.env | theirs, folder=home)
    identity.delete_user(user)


def test_a_colleague_takes_over_and_deletes(
    launcher: Launcher, colleague: Launcher, project: Project, nothing_left: Callable[[], None]
) -> None:
    assert launcher.run("deploy", "--no-wait").exit_code == 0
    found = colleague.run("deploy", "--no-wait")
    words = colleague.words(found)
    assert found.exit_code == 0, words
    assert "created by another user" in words and project.user_id in words
    assert "ssh may refuse yours" in words
    gone = colleague.run("delete", "--yes")
    words = colleague.words(gone)
    assert gone.exit_code == 0, words
    assert f"Keypair '{project.keypair}' stays: it belongs to the user who created" in words
    assert f"openstack keypair delete {project.keypair}" in words
    assert project.leftovers() == [f"keypair {project.keypair}"]
    # Its owner can run that command or delete the deployment again.
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()


def test_logs_of_a_unit_name_suggests_the_flag(launcher: Launcher) -> None:
    ended = launcher.run("logs", "web")
    assert ended.exit_code == 10
    assert "To read a unit's journal, run: logs --unit web." in launcher.words(ended)
