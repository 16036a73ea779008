"""A deploy that finds a server: it never deletes jobs or keeps old code silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.lab.deploy.conftest import Launcher
from tests.support.lab_project import Project

WHAT = "deletes all jobs of deployment 'stackserve'"


def the_server(project: Project) -> Any:
    (server,) = project.connection().compute.servers()
    return server


def test_replacing_a_server_needs_a_yes(
    launcher: Launcher, project: Project, nothing_left: Callable[[], None]
) -> None:
    """First with --recreate, then because the server is in ERROR."""
    assert launcher.run("deploy", "--no-wait").exit_code == 0
    first = the_server(project)
    assert WHAT in launcher.words(launcher.run("plan", "--recreate"))
    refused = launcher.run("deploy", "--no-wait", "--recreate")
    words = launcher.words(refused)
    assert refused.exit_code == 2 and WHAT in words and "Add --yes to confirm" in words
    assert the_server(project).id == first.id
    assert launcher.run("deploy", "--no-wait", "--recreate", "--yes").exit_code == 0
    second = the_server(project)
    assert second.id != first.id

    project.admin.compute.reset_server_state(second, "error")
    assert WHAT in launcher.words(launcher.run("plan"))
    assert launcher.run("deploy", "--no-wait").exit_code == 2
    assert the_server(project).id == second.id
    assert launcher.run("deploy", "--no-wait", "--yes").exit_code == 0
    assert the_server(project).id != second.id
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()


def test_old_code_is_reported_first_and_last(
    launcher: Launcher, project: Project, nothing_left: Callable[[], None]
) -> None:
    assert launcher.run("deploy", "--no-wait").exit_code == 0
    server = the_server(project)
    project.connection().compute.set_server_metadata(server, stackserve_code="01dc0de")
    ended = launcher.run("deploy", "--no-wait")
    words = launcher.words(ended)
    assert ended.exit_code == 12, words
    assert "was created with different code (01dc0de, not" in words
    assert "its code is 01dc0de" in words and "`deploy --recreate stackserve`" in words
    assert the_server(project).id == server.id
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()
