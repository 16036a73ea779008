"""A new user's first deploy, on real guests: from a fresh clone to an empty project again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.chromium import OpenTab
from tests.support.cloud import ROOT, LabCloud
from tests.support.lab_user import LabUser, Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(5000)]

NAMES = ("stackserve", "second", "failing")
START = (sys.executable, "openstack_client/start_instance.py")
UNITS = ("rabbitmq-server", "stackserve-web", "stackserve-recorder", "stackserve-worker@1")
# Kinds of resources of a deployment, in the `openstack` command line.
KINDS = (
    "server",
    "port",
    "floating ip",
    "security group",
    "keypair",
    "volume",
    "image",
    "network",
    "router",
    "security group rule",
)
# No server listens there.
NO_MIRROR = "http://127.0.0.1:9/debian"
SOURCES = "apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages'"


def project(cloud: LabCloud) -> dict[str, list[str]]:
    """All resources of the project, listed without the launcher."""
    listed = {kind: cloud.openstack(*kind.split(), "list", "-f", "value") for kind in KINDS}
    return {kind: sorted(ended.output.splitlines()) for kind, ended in listed.items()}


@pytest.fixture(scope="module")
def before(real_lab: LabCloud) -> dict[str, list[str]]:
    return project(real_lab)


@pytest.fixture(scope="module")
def newcomer(
    real_lab: LabCloud, before: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabUser]:
    folder = tmp_path_factory.mktemp("newcomer")
    clone = ["git", "clone", "--quiet", str(ROOT), str(folder / "stackserve")]
    subprocess.run(clone, check=True)
    user = LabUser(real_lab, folder, folder / "stackserve")
    yield user
    for name in NAMES:
        user.run("delete", name, "--yes", "--take-over")


@pytest.fixture(scope="module")
def server(newcomer: LabUser) -> Server:
    """A server created by the command in the README, on the stock image."""
    stock = next(
        row["Name"]
        for row in newcomer.cloud.rows("image", "list")
        if not row["Name"].startswith("stackserve")
    )
    ended = newcomer.command(*START, "--image", stock, "--json")
    assert ended.code == 0, (ended.output + ended.errors)[-3000:]
    return Server([json.loads(line) for line in ended.output.splitlines()])


def test_it_ends_with_an_address(server: Server) -> None:
    result = server.event("result")
    assert result["ready"] is True
    assert re.fullmatch(r"http://[\d.]+:5100/predictions", result["url"])


def test_chromium_predicts_there(server: Server, open_tab: OpenTab) -> None:
    origin = server.event("result")["url"].removesuffix("/predictions")
    page = open_tab(origin).open()
    page.locator("#f-glucose").fill("181")
    page.get_by_role("button", name="Predict", exact=True).click()
    meter = page.get_by_role("meter", name="Probability of diabetes")
    expect(meter).to_be_visible()
    assert 0 < int(meter.get_attribute("aria-valuenow") or 0) < 100


def test_ssh_shows_four_healthy_units(newcomer: LabUser, server: Server) -> None:
    ended = newcomer.run("ssh", "--", "systemctl", "is-active", *UNITS)
    assert (ended.code, ended.output.split()) == (0, ["active"] * 4), ended.errors


def test_status_finds_no_drift(newcomer: LabUser, server: Server) -> None:
    ended = newcomer.run("status")
    assert ended.code == 0, ended.output + ended.errors


def test_a_deploy_with_no_wait_and_a_mirror_continues_by_itself(
    newcomer: LabUser, server: Server
) -> None:
    """`--no-wait` delivers the code and exits. The same command waits for the server later."""
    lines = [line.split() for line in server.ssh(SOURCES).splitlines()]
    own = next(uri for uri, suite in lines if not suite.endswith("-security"))
    mirror = explicit(own)
    flags = ("--image", server.event("plan")["image"]["id"], "--apt-mirror", mirror)
    started = newcomer.run("deploy", "second", *flags, "--no-wait")
    assert started.code == 0, started.output + started.errors
    assert newcomer.run("status", "second").code == 11
    second = Server(newcomer.events("deploy", "second", *flags))
    assert second.event("result")["ready"] is True
    assert f"{mirror.rstrip('/')}" in second.ssh(SOURCES)
    assert newcomer.run("delete", "second", "--yes").code == 0


def explicit(uri: str) -> str:
    """The same URL with its default port, to distinguish it from the image's."""
    parts = urlsplit(uri)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return parts._replace(netloc=f"{parts.hostname}:{port}").geturl()


def test_a_failed_step_is_reported(newcomer: LabUser, server: Server) -> None:
    image = server.event("plan")["image"]["id"]
    ended = newcomer.run("deploy", "failing", "--image", image, "--apt-mirror", NO_MIRROR)
    words = " ".join((ended.output + ended.errors).split())
    assert ended.code == 7, words
    assert "packages" in words and "127.0.0.1" in words
    assert "ssh" in words
    # Long before any timeout: it takes a boot and a few connection attempts.
    assert ended.seconds < 600


def test_delete_leaves_the_project_as_it_was(
    newcomer: LabUser, server: Server, before: dict[str, list[str]]
) -> None:
    for line in newcomer.run("list", "--json").rows:
        if line["name"] in NAMES:
            ended = newcomer.run("delete", line["name"], "--yes")
            assert ended.code == 0, ended.output + ended.errors
    assert project(newcomer.cloud) == before
    assert not [path for path in (newcomer.home / ".config").rglob("*") if path.is_file()]
