"""The fake hypervisor: many servers in a short time, and the errors of a real cloud."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.support.cloud import LabCloud

CLOUD = "lab-fake"
MANY = 20
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def tag(lab_cloud: LabCloud) -> Iterator[str]:
    """A name prefix for a test's servers, which are deleted at the end."""
    name = f"fake-{time.monotonic_ns()}"
    yield name
    servers = lab_cloud.rows("server", "list", cloud=CLOUD)
    mine = [row["ID"] for row in servers if row["Name"].startswith(name)]
    if mine:
        lab_cloud.openstack("server", "delete", *mine, cloud=CLOUD)


@pytest.mark.long
def test_twenty_servers_are_active_within_two_minutes(lab_cloud: LabCloud, tag: str) -> None:
    many = ("--min", str(MANY), "--max", str(MANY))
    assert lab_cloud.create_server(tag, *many, cloud=CLOUD).code == 0
    deadline = time.monotonic() + 120
    states: list[str] = []
    while states != ["ACTIVE"] * MANY and time.monotonic() < deadline:
        servers = lab_cloud.rows("server", "list", cloud=CLOUD)
        states = [row["Status"] for row in servers if row["Name"].startswith(tag)]
    assert states == ["ACTIVE"] * MANY


@pytest.mark.long
def test_a_floating_ip_is_attached_and_detached(lab_cloud: LabCloud, tag: str) -> None:
    assert lab_cloud.create_server(tag, "--wait", cloud=CLOUD).code == 0
    made = lab_cloud.rows("floating", "ip", "create", "public", cloud=CLOUD)
    address = made["floating_ip_address"]
    try:
        added = lab_cloud.openstack("server", "add", "floating", "ip", tag, address, cloud=CLOUD)
        assert added.code == 0, added.errors
        shown = lab_cloud.rows("server", "show", tag, cloud=CLOUD)
        assert address in json.dumps(shown["addresses"])
    finally:
        lab_cloud.openstack("floating", "ip", "delete", address, cloud=CLOUD)


def test_an_exceeded_quota_is_reported_as_on_a_real_cloud(lab_cloud: LabCloud, tag: str) -> None:
    refused = lab_cloud.create_server(tag, "--min", "61", "--max", "61", cloud=CLOUD)
    assert refused.code != 0
    assert "Quota exceeded" in refused.errors and "403" in refused.errors


def test_a_missing_image_is_reported_as_on_a_real_cloud(lab_cloud: LabCloud, tag: str) -> None:
    refused = lab_cloud.create_server(tag, image="no-such-image", cloud=CLOUD)
    assert refused.code != 0 and "No Image found for no-such-image" in refused.errors


@pytest.mark.long
def test_a_server_without_a_valid_host_is_in_error(lab_cloud: LabCloud, tag: str) -> None:
    """Nova accepts a flavor that no host can run. Then the server is in ERROR."""
    name = f"{tag}-huge"
    made = lab_cloud.openstack(
        "flavor",
        "create",
        "--vcpus",
        "8",
        "--ram",
        "4096",
        "--disk",
        "60000000",
        name,
        cloud="lab-admin",
    )
    assert made.code == 0, made.errors
    try:
        created = lab_cloud.create_server(tag, "--wait", flavor=name, cloud=CLOUD)
        assert created.code != 0
        shown = lab_cloud.rows("server", "show", tag, cloud=CLOUD)
        assert shown["status"] == "ERROR"
        assert "No valid host was found" in json.dumps(shown["fault"])
    finally:
        lab_cloud.openstack("flavor", "delete", name, cloud="lab-admin")


def test_the_user_is_not_an_administrator(lab_cloud: LabCloud) -> None:
    refused = lab_cloud.openstack("hypervisor", "list", cloud=CLOUD)
    assert refused.code != 0 and "403" in refused.errors
