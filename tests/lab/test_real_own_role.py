"""A role of one's own on a real guest: its page at the floating IP, and a step that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.cloud import Ended, LabCloud
from tests.support.lab_user import LabUser, Server
from tests.support.own_role import copy_of_hello

pytestmark = [pytest.mark.long, pytest.mark.timeout(2000)]

NAMES = ("hello", "broken", "from-image")


def words(ended: Ended) -> str:
    return " ".join((ended.output + ended.errors).split())


@pytest.fixture(scope="module")
def user(real_lab: LabCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabUser]:
    someone = LabUser(real_lab, tmp_path_factory.mktemp("own-role"))
    yield someone
    for name in NAMES:
        someone.run("delete", name, "--yes")


@pytest.fixture(scope="module")
def page(user: LabUser) -> Server:
    own = copy_of_hello(user.home, "greeting", index_html=("your own role", "the lab"))
    return Server(user.events("deploy", "hello", "--role", str(own)))


def test_the_page_is_at_the_floating_ip(page: Server) -> None:
    result = page.event("result")
    assert result["ready"] and result["role"] == "greeting"
    assert result["url"] == f"http://{result['address']}:80/"
    assert "Hello from the lab" in httpx.get(result["url"], timeout=30).text
    stages = [event["stage"] for event in page.events if event.get("state") == "done"]
    assert stages[-3:] == ["booting", "packages", "page"]


def test_the_other_verbs_need_no_folder(user: LabUser, page: Server) -> None:
    status = user.run("status", "hello", "--json")
    assert status.code == 0, status.output + status.errors
    assert status.rows["role"] == "greeting" and status.rows["prediction"] is None
    assert [(unit["name"], unit["active"]) for unit in status.rows["units"]] == [
        ("nginx", "active")
    ]
    logs = user.run("logs", "hello", "--unit", "web", "--json")
    assert logs.code == 0 and any("nginx" in line for line in logs.rows["lines"])
    ssh = user.run("ssh", "hello", "--", "systemctl", "is-active", "nginx")
    assert ssh.output.strip() == "active", ssh.errors
    opened = user.run("open", "hello", "--json")
    assert opened.rows["url"] == page.event("result")["url"]
    backup = user.run("backup", "hello", str(Path(user.home) / "hello.tar.gz"))
    assert backup.code == 2 and "no jobs or models" in words(backup)


def test_it_is_found_again_and_protected_from_the_service(user: LabUser, page: Server) -> None:
    again = Server(user.events("deploy", "hello", "--role", str(user.home / "greeting")))
    assert again.event("result")["server"] == page.event("result")["server"]
    other = user.run("plan", "hello")
    assert other.code == 4 and "has the role 'greeting', not 'server'" in words(other)


def test_a_step_that_fails_is_reported_by_its_name(user: LabUser) -> None:
    own = copy_of_hello(user.home, "broken", page_sh=("nginx -t", "echo 'error: no page'; exit 1"))
    ended = user.run("deploy", "broken", "--role", str(own))
    assert ended.code == 7, words(ended)
    assert "The step 'page' failed on the server" in words(ended)
    assert "error: no page" in words(ended)
    # Long before any timeout.
    assert ended.seconds < 600


def test_a_server_from_its_baked_image(user: LabUser) -> None:
    """The image has nginx and no key; the page is that of the server's user data."""
    own = copy_of_hello(user.home, "packed", index_html=("your own role", "an image"))
    baked = user.events("bake", "packed", "--role", str(own))[-1]
    try:
        server = Server(user.events("deploy", "from-image", "--role", str(own)))
        plan = server.event("plan")
        assert plan["image"]["name"] == "packed"
        assert plan["image"]["why"].endswith("for role 'packed'")
        result = server.event("result")
        assert "Hello from an image" in httpx.get(result["url"], timeout=30).text
        installed = server.ssh("grep -c nginx-light /var/log/dpkg.log || true")
        assert installed == "0", "it was installed again"
        assert user.run("delete", "from-image", "--yes").code == 0
    finally:
        user.cloud.openstack("image", "delete", baked["image"])


def test_delete_leaves_nothing(user: LabUser, page: Server) -> None:
    for name in NAMES:
        ended = user.run("delete", name, "--yes")
        assert ended.code == 0, ended.output + ended.errors
    left = user.cloud.openstack("server", "list", "-f", "value", "-c", "Name").output
    assert not {f"stackserve-{name}" for name in NAMES} & set(left.split())
