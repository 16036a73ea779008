"""A time to live on the lab: shown, extended, kept by a later deploy, and reaped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.deploy.conftest import Launcher
from tests.support.lab_project import Project
from tests.support.removal import FUTURE, PAST

DEPLOY = ("deploy", "--no-wait")


@pytest.fixture(autouse=True)
def _clean(nothing_left: Callable[[], None]) -> Callable[[], None]:
    """Delete what a test leaves."""
    return nothing_left


def deployments(launcher: Launcher) -> dict[str, Any]:
    rows = json.loads(launcher.run("list", "--json").stdout)
    return {row["name"]: row for row in rows}


def expire(project: Project, name: str, moment: str = PAST) -> None:
    compute = project.connection().compute
    server = next(found for found in compute.servers() if found.name == f"stackserve-{name}")
    compute.set_server_metadata(server, stackserve_expires=moment)


def test_what_is_left_is_shown_and_extended(
    launcher: Launcher, nothing_left: Callable[[], None]
) -> None:
    ended = launcher.run(*DEPLOY, "course", "--ttl", "8h")
    words = launcher.words(ended)
    assert ended.exit_code == 0, words
    assert "time to live 8h" in words
    assert "The deployment expires in 7 h 59 min, but the server cannot remove itself:" in words
    assert "`reap --yes` from cron" in words
    assert "expires in 7 h 59 min" in launcher.words(launcher.run("list"))
    assert "expires in 7 h 59 min" in launcher.words(launcher.run("status", "course", "--no-ssh"))
    assert "expires in 11 h 59 min" in launcher.words(launcher.run("extend", "course", "4h"))
    before = deployments(launcher)["course"]["expires"]
    assert launcher.run(*DEPLOY, "course").exit_code == 0
    assert deployments(launcher)["course"]["expires"] == before
    assert "never expires" in launcher.words(launcher.run("extend", "course", "--never"))
    assert deployments(launcher)["course"]["lifetime"] is None
    again = launcher.run("extend", "course", "4h")
    assert again.exit_code == 2 and "nothing to extend" in launcher.words(again)
    assert launcher.run(*DEPLOY, "course", "--ttl", "3m").exit_code == 0
    assert deployments(launcher)["course"]["lifetime"] == "expires in 2 min"
    assert launcher.run("delete", "course", "--yes").exit_code == 0
    nothing_left()


@pytest.mark.long
def test_a_server_that_replaces_another_keeps_its_time(
    launcher: Launcher, nothing_left: Callable[[], None]
) -> None:
    assert launcher.run(*DEPLOY, "course", "--ttl", "8h").exit_code == 0
    before = deployments(launcher)["course"]
    assert launcher.run(*DEPLOY, "course", "--recreate", "--yes").exit_code == 0
    after = deployments(launcher)["course"]
    assert after["expires"] == before["expires"] and after["created"] != before["created"]
    assert launcher.run("delete", "course", "--yes").exit_code == 0
    nothing_left()


def test_reap_deletes_what_has_expired_and_nothing_else(
    launcher: Launcher, project: Project, nothing_left: Callable[[], None]
) -> None:
    for name in ("over", "later", "forever"):
        flags = () if name == "forever" else ("--ttl", "8h")
        assert launcher.run(*DEPLOY, name, *flags).exit_code == 0
    assert "none has expired" in launcher.words(launcher.run("reap"))
    expire(project, "over")
    expire(project, "later", FUTURE)
    shown = launcher.run("reap", "--dry-run")
    assert shown.exit_code == 0 and "over" in shown.stdout and "later" not in shown.stdout
    unasked = launcher.run("reap")
    assert unasked.exit_code == 2 and "Add --yes" in launcher.words(unasked)
    assert set(deployments(launcher)) == {"over", "later", "forever"}
    done = json.loads(launcher.run("reap", "--yes", "--json").stdout)
    assert (done["expired"], done["deleted"]) == (["over"], ["over"])
    assert not [line for line in project.leftovers() if "over" in line.replace("forever", "")]
    assert set(deployments(launcher)) == {"later", "forever"}
    for name in ("later", "forever"):
        assert launcher.run("delete", name, "--yes").exit_code == 0
    nothing_left()


@pytest.mark.long
def test_reap_skips_what_a_deploy_is_working_on(
    launcher: Launcher, project: Project, nothing_left: Callable[[], None]
) -> None:
    assert launcher.run(*DEPLOY, "course", "--ttl", "8h").exit_code == 0
    expire(project, "course")
    network = project.connection().network
    port = next(iter(network.ports(name="stackserve-course")))
    tag = f"stackserve-holds-00ff00ff-{int(time.time())}"
    network.put(f"/ports/{port.id}/tags/{tag}")
    ended = launcher.run("reap", "--yes")
    assert ended.exit_code == 0 and "a deploy of it is running" in launcher.words(ended)
    network.delete(f"/ports/{port.id}/tags/{tag}")
    assert launcher.run("reap", "--yes").exit_code == 0
    nothing_left()
