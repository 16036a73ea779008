"""A server removes its own deployment with a credential that can do nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openstack_lab import namespace

from openstack_client.deploy import self_removal
from tests.lab.deploy.conftest import Launcher
from tests.support.cloud import LabCloud
from tests.support.lab_project import Project
from tests.support.removal import FUTURE, Remover, program

STEPS = [step.__name__ for step in program().STEPS]


@pytest.fixture
def remover(
    launcher: Launcher, project: Project, tmp_path: Path, nothing_left: Callable[[], None]
) -> Iterator[Remover]:
    ended = launcher.run("deploy", "--no-wait", "--ttl", "8h")
    assert ended.exit_code == 0, launcher.words(ended)
    yield Remover(project, tmp_path)
    # What a failed test leaves, and the credential.
    launcher.run("delete", "--yes")


def test_the_credential_does_what_it_must_and_nothing_else(
    remover: Remover, project: Project, launcher: Launcher
) -> None:
    refused = self_removal.refusal(
        remover.cloud, remover.removal, remover.endpoints, remover.id, remover.secret
    )
    assert refused == ""
    assert launcher.run("deploy", "--no-wait", "other").exit_code == 0
    own = project.connection()
    other = next(found for found in own.compute.servers() if found.name == "stackserve-other")
    other_port = next(iter(own.network.ports(name="stackserve-other")))
    identity, compute = remover.endpoints.identity, remover.endpoints.compute
    network = remover.endpoints.network
    image = own.image.get_endpoint()
    server = f"{compute}/servers/{remover.removal.server.id}"
    user = f"{identity}/users/{project.user_id}"
    new = {"application_credential": {"name": "more", "unrestricted": True}}
    tried = [
        ("GET", f"{compute}/servers"),
        ("GET", f"{compute}/servers/detail"),
        ("POST", f"{compute}/servers"),
        ("GET", f"{compute}/servers/{other.id}"),
        ("DELETE", f"{compute}/servers/{other.id}"),
        ("POST", f"{server}/action"),
        ("PUT", server),
        ("POST", f"{server}/metadata"),
        ("GET", f"{compute}/os-keypairs"),
        ("POST", f"{compute}/os-keypairs"),
        ("GET", f"{network}/ports"),
        ("DELETE", f"{network}/ports/{other_port.id}"),
        ("PUT", f"{network}/ports/{other_port.id}"),
        ("GET", f"{network}/networks"),
        ("POST", f"{network}/floatingips"),
        ("GET", f"{network}/security-groups"),
        ("POST", f"{network}/security-group-rules"),
        ("GET", f"{image}/v2/images"),
        ("GET", f"{user}/application_credentials"),
        ("DELETE", f"{user}/application_credentials/{remover.id}"),
        ("GET", f"{identity}/projects"),
    ]
    answers = {(method, url): remover.status(method, url) for method, url in tried}
    answers["POST", "credential"] = remover.status("POST", f"{user}/application_credentials", new)
    assert {key: code for key, code in answers.items() if code not in {401, 403}} == {}
    assert launcher.run("delete", "other", "--yes").exit_code == 0


@pytest.mark.long
def test_before_expiry_and_after_an_extension_nothing_happens(
    remover: Remover, project: Project
) -> None:
    before = project.leftovers()
    for moment in (FUTURE, ""):
        remover.expire(moment)
        done = remover.run()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert project.leftovers() == before


def test_everything_is_removed_from_inside_the_lab(
    remover: Remover,
    lab_cloud: LabCloud,
    launcher: Launcher,
    project: Project,
    nothing_left: Callable[[], None],
) -> None:
    remover.expire()
    done = remover.run(lambda command: namespace.enter(lab_cloud.layout, command))
    assert done.returncode == 0, done.stderr
    assert remover.secret not in done.stdout
    wait_until_only_the_credential_is_left(project)
    # Deletes the files on this machine, the credential and its rules.
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()


@pytest.mark.long
def test_worker_vms_are_removed_too(
    launcher: Launcher, project: Project, tmp_path: Path, nothing_left: Callable[[], None]
) -> None:
    ended = launcher.run("deploy", "--no-wait", "--ttl", "8h", "--worker-vms", "2")
    assert ended.exit_code == 0, launcher.words(ended)
    remover = Remover(project, tmp_path)
    assert len(remover.removal.others) == len(remover.removal.other_ports) == 2
    assert len(remover.removal.server_groups) == 1
    remover.expire()
    done = remover.run()
    assert done.returncode == 0, done.stderr
    wait_until_only_the_credential_is_left(project)
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()


@pytest.mark.long
@pytest.mark.parametrize("stopped_after", STEPS[:-1])
def test_a_removal_that_was_killed_is_continued(
    remover: Remover, project: Project, launcher: Launcher, stopped_after: str
) -> None:
    remover.expire()
    play(remover, STEPS.index(stopped_after) + 1)
    done = remover.run()
    assert done.returncode == 0, done.stderr
    wait_until_only_the_credential_is_left(project)


@pytest.mark.long
@pytest.mark.parametrize("deleted", ["compute", "ports", "floatingips"])
def test_reap_finishes_what_the_last_requests_left(
    remover: Remover,
    project: Project,
    launcher: Launcher,
    deleted: str,
    nothing_left: Callable[[], None],
) -> None:
    """Only one of the requests that leave together arrived."""
    remover.expire()
    cloud = play(remover, len(STEPS) - 1)
    resources = {
        "compute": ("compute", f"/servers/{remover.removal.server.id}"),
        "ports": ("network", f"/ports/{remover.removal.ports[0].id}"),
        "floatingips": ("network", f"/floatingips/{remover.removal.mine.addresses[0].id}"),
    }
    cloud.send("DELETE", *resources[deleted])
    if deleted == "compute":
        own = project.connection().compute
        found = own.find_server(remover.removal.server.id)
        if found:
            own.wait_for_delete(found, interval=0.3, wait=60)
        assert remover.run().returncode == 0
        assert project.leftovers() != []
    shown = json.loads(launcher.run("list", "--json").stdout)
    assert [row["lifetime"] for row in shown] == ["being removed"]
    refused = launcher.run("extend", "4h")
    assert refused.exit_code == 6, launcher.words(refused)
    ended = launcher.run("reap", "--yes")
    assert ended.exit_code == 0, launcher.words(ended)
    nothing_left()


def play(remover: Remover, count: int) -> Any:
    """Run the first steps of the program, as if it was killed after them."""
    module = program()
    cloud = module.Cloud(remover.config)
    cloud.login()
    for step in module.STEPS[:count]:
        step(cloud)
    return cloud


def wait_until_only_the_credential_is_left(project: Project) -> None:
    """Nova deletes a server in the background."""
    until = time.monotonic() + 30
    while left := [line for line in project.leftovers() if not is_credential(line)]:
        assert time.monotonic() < until, left
        time.sleep(0.3)


def is_credential(line: str) -> bool:
    return line.startswith(("application credential", "access rule"))
