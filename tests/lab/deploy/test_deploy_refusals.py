"""Mistakes are reported before anything is created: one test for each."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openstack_client.plan import keypair
from tests.lab.deploy.conftest import Launcher
from tests.support.faulty_network import EVER, FaultyNetwork
from tests.support.lab_project import Project

QUICK = ("--retries", "0")


def refused(launcher: Launcher, *flags: str, code: int = 4, **env: str | None) -> str:
    """Run plan, expect exit code `code`, and return its output."""
    ended = launcher.run("plan", *flags, env=env)
    words = launcher.words(ended)
    assert ended.exit_code == code, words
    assert "Traceback" not in words
    return words


# Credentials


def test_a_plan_without_problems(launcher: Launcher, project: Project) -> None:
    ended = launcher.run("plan", "--json")
    plan = json.loads(ended.stdout)
    assert ended.exit_code == 0 and plan["can_go"] and plan["problems"] == []
    assert {item["action"] for item in plan["items"]} == {"create"}
    assert project.leftovers() == []


def test_wrong_password(launcher: Launcher, project: Project) -> None:
    words = refused(launcher, code=3, OS_PASSWORD="wrong")
    assert f"refused the user '{project.user}' (domain 'Default')" in words
    assert "wrong user name, password or domain (request req-" in words
    assert "enter the password again" in words


def test_unknown_user(launcher: Launcher) -> None:
    assert "refused the user 'nobody'" in refused(launcher, code=3, OS_USERNAME="nobody")


def test_wrong_domain(launcher: Launcher) -> None:
    words = refused(launcher, code=3, OS_USER_DOMAIN_NAME="Elsewhere")
    assert "(domain 'Elsewhere')" in words


def test_wrong_project(launcher: Launcher, project: Project) -> None:
    words = refused(launcher, code=3, OS_PROJECT_NAME=project.name + "x")
    assert f"The password is correct, but the user '{project.user}' has no role" in words
    assert f"Did you mean '{project.name}'?" in words


def test_incomplete_variables(launcher: Launcher) -> None:
    words = refused(launcher, code=3, OS_PASSWORD=None, OS_PROJECT_NAME=None)
    assert "incomplete" in words and "OS_PASSWORD: not set" in words
    assert "OS_PROJECT_NAME: not set" in words


def test_expired_token(launcher: Launcher, project: Project) -> None:
    token = project.connect().session.get_token()
    project.admin.identity.delete("/auth/tokens", headers={"X-Subject-Token": token})
    words = refused(
        launcher,
        code=3,
        OS_AUTH_TYPE="v3token",
        OS_TOKEN=token,
        OS_PASSWORD=None,
        OS_USERNAME=None,
        OS_USER_DOMAIN_NAME=None,
    )
    assert "Keystone refused the token" in words and "expired or was revoked" in words


@pytest.fixture
def credential(project: Project) -> Iterator[Callable[..., dict[str, str | None]]]:
    """Creates application credentials; returns the variables that use one instead of a password."""
    own = project.connection()
    made: list[Any] = []

    def make(minutes: int = 600) -> dict[str, str | None]:
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        one = own.identity.create_application_credential(
            user=project.user_id,
            name=f"t{len(made)}",
            expires_at=ends.strftime("%Y-%m-%dT%H:%M:%S"),
        )
        made.append(one)
        return {
            "OS_AUTH_TYPE": "v3applicationcredential",
            "OS_APPLICATION_CREDENTIAL_ID": one.id,
            "OS_APPLICATION_CREDENTIAL_SECRET": one.secret,
            "OS_PASSWORD": None,
            "OS_USERNAME": None,
            "OS_PROJECT_NAME": None,
            "OS_USER_DOMAIN_NAME": None,
            "OS_PROJECT_DOMAIN_NAME": None,
        }

    yield make
    for one in made:
        own.identity.delete_application_credential(project.user_id, one, ignore_missing=True)


def test_application_credential_with_a_wrong_secret(
    launcher: Launcher, credential: Callable[..., dict[str, str | None]]
) -> None:
    variables = credential() | {"OS_APPLICATION_CREDENTIAL_SECRET": "wrong"}
    words = refused(launcher, code=3, **variables)
    assert "refused the application credential" in words and "create a new one" in words


def test_application_credential_that_expires_soon_is_a_warning(
    launcher: Launcher, credential: Callable[..., dict[str, str | None]]
) -> None:
    ended = launcher.run("plan", env=credential(minutes=20))
    words = launcher.words(ended)
    assert ended.exit_code == 0, words
    assert "The application credential expires in 19 minutes" in words


def test_a_reader_cannot_deploy(launcher: Launcher, project: Project) -> None:
    identity = project.admin.identity
    member, reader = identity.find_role("member"), identity.find_role("reader")
    identity.assign_project_role_to_user(project.id, project.user_id, reader)
    identity.unassign_project_role_from_user(project.id, project.user_id, member)
    try:
        words = refused(launcher)
    finally:
        identity.assign_project_role_to_user(project.id, project.user_id, member)
        identity.unassign_project_role_from_user(project.id, project.user_id, reader)
    assert f"has read-only access to project '{project.name}' (reader)" in words
    assert "for the role 'member'" in words


def test_keystone_down(launcher: Launcher) -> None:
    words = refused(launcher, *QUICK, code=5, OS_AUTH_URL="http://127.0.0.1:1/v3", http_proxy=None)
    assert "Keystone does not answer" in words
    assert "http://127.0.0.1:1: the connection was refused" in words
    assert "Check OS_AUTH_URL" in words


def test_keystone_at_an_unknown_host(launcher: Launcher) -> None:
    url = "http://keystone.invalid:5000/v3"
    words = refused(launcher, *QUICK, code=5, OS_AUTH_URL=url, http_proxy=None)
    assert "keystone.invalid" in words and "host" in words


def test_an_unknown_region(launcher: Launcher) -> None:
    words = refused(launcher, code=5, OS_REGION_NAME="Atlantis")
    assert "the cloud has no such service" in words and "--os-region-name" in words


def test_glance_is_failing(launcher: Launcher, faults: FaultyNetwork) -> None:
    faults.rule(r"GET \S+/v2/images", times=EVER, status=503, body='{"message": "maintenance"}')
    words = refused(launcher, *QUICK, code=5)
    assert "Glance could not list the images; the service is failing: maintenance" in words
    assert "(HTTP 503, request req-fault)" in words


# Names


@pytest.mark.parametrize(
    ("flag", "wanted", "nearest"),
    [
        ("--image", "debian12", "debian-12"),
        ("--flavor", "service.smal", "service.small"),
        ("--network", "privat", "private"),
        ("--external-network", "pubic", "public"),
        ("--availability-zone", "novva", "nova"),
        ("--security-group", "defalt", "default"),
    ],
)
def test_unknown_names_suggest_the_nearest(
    launcher: Launcher, flag: str, wanted: str, nearest: str
) -> None:
    words = refused(launcher, flag, wanted)
    assert f"'{wanted}' not found. Did you mean '{nearest}'?" in words
    assert "Available: " in words


def test_an_unknown_keypair(launcher: Launcher) -> None:
    assert "keypair: 'laptop' not found. Available: none." in refused(launcher, "--key", "laptop")


def test_two_images_of_one_name(launcher: Launcher, project: Project) -> None:
    own = project.connection()
    twins = [
        own.image.create_image("twin", data=b"x", container_format="bare", disk_format="raw")
        for _ in range(2)
    ]
    try:
        words = refused(launcher, "--image", "twin")
    finally:
        for twin in twins:
            own.image.delete_image(twin)
    assert "image: 2 have the name 'twin'. Use an id instead:" in words
    assert all(twin.id in words for twin in twins)


@pytest.fixture
def second_network(project: Project) -> Iterator[Any]:
    own = project.connection()
    network = own.network.create_network(name="second")
    own.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.78.0.0/24")
    yield network
    own.network.delete_network(network)


def test_two_networks_to_choose_from(launcher: Launcher, second_network: Any) -> None:
    words = refused(launcher)
    assert "network: the project has 2: private, second. Choose one with --network." in words


def test_a_network_without_router(launcher: Launcher, second_network: Any) -> None:
    words = refused(launcher, "--network", "second")
    assert "network 'second' has no router, so a floating IP cannot reach the server" in words
    assert "openstack router add subnet outside" in words


def test_a_network_without_subnet(launcher: Launcher, project: Project) -> None:
    own = project.connection()
    network = own.network.create_network(name="bare")
    try:
        assert "'bare' has no subnet" in refused(launcher, "--network", "bare")
    finally:
        own.network.delete_network(network)


def test_an_image_too_large_for_the_flavor(launcher: Launcher, project: Project) -> None:
    own = project.connection()
    image = own.image.create_image(
        "Debian 12 heavy",
        data=b"x",
        container_format="bare",
        disk_format="raw",
        min_disk=100,
        min_ram=16384,
    )
    try:
        words = refused(launcher, "--image", "Debian 12 heavy", "--flavor", "service.small")
    finally:
        own.image.delete_image(image)
    assert "MB of memory; image 'Debian 12 heavy' needs 16384" in words
    assert "GB of disk; image 'Debian 12 heavy' needs 100" in words


def test_a_volume_without_a_volume_service(launcher: Launcher) -> None:
    assert "the cloud has no volume service" in refused(launcher, "--volume-size", "20")


# Quotas


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"instances": 0}, "quota of servers: 1 more servers needed, 0 left (0 of 0 in use)"),
        ({"cores": 1}, "quota of cores: 2 more cores needed, 1 left"),
        ({"ram": 1024}, "quota of MB of memory: 3072 more MB of memory needed, 1024 left"),
        ({"key_pairs": 0}, "quota of keypairs: 1 more keypairs needed, 0 left"),
        ({"floatingip": 0}, "quota of floating IPs: 1 more floating IPs needed, 0 left"),
        ({"security_group": 1}, "quota of security groups: 1 more security groups needed, 0 left"),
        ({"security_group_rule": 5}, "quota of security group rules: 4 more"),
        ({"port": 1}, "quota of ports: 1 more ports needed, 0 left"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_quota(
    launcher: Launcher, project: Project, limits: dict[str, int], words: str
) -> None:
    with project.quota(**limits):
        assert words in refused(launcher)


def test_every_problem_at_once(launcher: Launcher, project: Project, second_network: Any) -> None:
    with project.quota(instances=0, floatingip=0):
        words = refused(launcher, "--image", "nope", "--network", "second", "--key", "nope")
    assert "5 problems found; nothing was created." in words
    for subject in ("image:", "keypair:", "network:", "quota of servers:", "quota of floating IPs"):
        assert subject in words


# Keys and user data


def test_a_keypair_that_exists_with_another_key(
    launcher: Launcher, project: Project, tmp_path: Path
) -> None:
    own = project.connection()
    other = keypair.generate(tmp_path / "other" / "key")
    own.compute.create_keypair(name=project.keypair, public_key=other)
    keypair.generate(tmp_path / ".ssh" / "id_ed25519")
    try:
        words = refused(launcher)
    finally:
        own.compute.delete_keypair(project.keypair)
    assert f"keypair: '{project.keypair}' exists with a different key" in words
    assert keypair.fingerprint(other) in words and f"--key {project.keypair}" in words


def test_user_data_too_large(launcher: Launcher, tmp_path: Path) -> None:
    import base64
    import random

    noise = base64.encodebytes(random.Random(1).randbytes(60_000)).decode()
    bundle = tmp_path / "ca.pem"
    bundle.write_text(f"-----BEGIN CERTIFICATE-----\n{noise}-----END CERTIFICATE-----\n")
    words = refused(launcher, "--ca-bundle", str(bundle))
    assert "user data: The user data has" in words and "Nova accepts at most 49,149" in words


def test_an_empty_model_folder(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    words = refused(launcher, "--model", str(tmp_path / "model"))
    assert "is not a model folder: card.json and model.keras are missing" in words
