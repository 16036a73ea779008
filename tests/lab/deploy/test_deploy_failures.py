"""Failures during a deploy: the messages, and that nothing is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openstack_client.plan.inventory import mark
from tests.lab.deploy.conftest import Launcher
from tests.support.faulty_network import EVER, FaultyNetwork
from tests.support.lab_project import Project

NothingLeft = Callable[[], None]
SERVER_POST = r"POST \S+/servers$"


def failed(launcher: Launcher, *flags: str, code: int) -> str:
    """Run deploy, expect exit code `code`, and return its output."""
    ended = launcher.run("deploy", "--no-wait", *flags)
    words = launcher.words(ended)
    assert ended.exit_code == code, words
    assert "Traceback" not in words
    return words


def servers(project: Project) -> list[Any]:
    return list(project.connection().compute.servers())


# Success, to make sure that the failures below are meaningful


def test_deploy_inspect_redeploy_delete(
    launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    first = launcher.run("deploy", "--no-wait", "--json")
    assert first.exit_code == 0, launcher.words(first)
    events = [json.loads(line) for line in first.stdout.splitlines()]
    stages = [event["stage"] for event in events if event.get("state") == "done"]
    assert stages == ["requested", "building", "active", "addressed", "code"]
    result = events[-1]
    server = servers(project)[0]
    assert result["server"] == server.id and result["address"].startswith("172.24.4.")
    assert server.metadata["stackserve_deployment"] == "stackserve"

    again = launcher.run("deploy", "--no-wait", "--json")
    assert again.exit_code == 0
    plan = json.loads(again.stdout.splitlines()[0])
    assert {item["action"] for item in plan["items"]} == {"found"}
    assert [entry.id for entry in servers(project)] == [server.id]

    listed = json.loads(launcher.run("list", "--json").stdout)
    assert [(row["name"], row["address"]) for row in listed] == [("stackserve", result["address"])]
    shown = launcher.run("status", "--json", "--no-ssh")
    status = json.loads(shown.stdout)
    assert shown.exit_code == 11 and status["server_status"] == "ACTIVE" and not status["ready"]
    assert status["drift"] == "none"
    opened = json.loads(launcher.run("open", "--json").stdout)
    assert opened["url"] == f"http://{result['address']}:5100/predictions"
    console = launcher.run("logs")
    assert console.exit_code == 0 and "FAKE CONSOLE OUTPUT" in console.stdout
    unknown_key = launcher.run("ssh")
    assert unknown_key.exit_code == 6
    assert "host key" in launcher.words(
        unknown_key
    ) and "identity cannot be verified" in launcher.words(unknown_key)

    asked = launcher.run("delete")
    assert asked.exit_code == 2 and "Add --yes" in launcher.words(asked)
    gone = launcher.run("delete", "--yes")
    words = launcher.words(gone)
    assert gone.exit_code == 0, words
    for kind in ("server", "floating IP", "port", "security group", "keypair", "local file"):
        assert kind in words
    assert not launcher.kept(project, "keys").exists()
    nothing_left()
    nothing = launcher.run("delete", "--yes")
    assert nothing.exit_code == 0 and "Nothing to delete" in launcher.words(nothing)


def test_an_unknown_deployment(launcher: Launcher) -> None:
    ended = launcher.run("status", "nope")
    assert ended.exit_code == 10
    words = launcher.words(ended)
    assert "No deployment named 'nope' in this project. There are no deployments yet;" in words


# Failures of the API


def test_three_503s_from_nova_are_retried(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    faults.rule(SERVER_POST, times=3, status=503, body='{"message": "busy"}')
    ended = launcher.run("deploy", "--no-wait")
    words = launcher.words(ended)
    assert ended.exit_code == 0, words
    for count in (1, 2, 3):
        assert (
            f"Nova answered 503 (request: create the server); retrying in 0 s ({count} of 5)"
            in words
        )
    assert len(servers(project)) == 1


def test_nova_keeps_failing(
    launcher: Launcher, faults: FaultyNetwork, nothing_left: NothingLeft
) -> None:
    faults.rule(SERVER_POST, times=EVER, status=500, body='{"computeFault": {"message": "Oops."}}')
    words = failed(launcher, "--retries", "2", code=5)
    assert (
        "Nova could not create the server after 3 attempts; the service is failing: Oops" in words
    )
    assert "request req-fault" in words and "Everything this run created was deleted" in words
    nothing_left()


def test_lost_answers_create_nothing_twice(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    """All in one deploy: it takes each of them by itself."""
    requests = ("servers", "floatingips", "ports", "security-groups", "os-keypairs")
    for request in requests:
        faults.rule(rf"POST \S+/{request}$", reset="after")
    ended = launcher.run("deploy", "--no-wait")
    words = launcher.words(ended)
    assert ended.exit_code == 0, words
    assert words.count("retrying") == len(requests), words
    kinds = sorted(left.split()[0] for left in project.leftovers())
    assert kinds == ["floating", "group", "keypair", "port", "server"]


@pytest.mark.parametrize(
    ("request_", "service"), [(r"GET \S+/v2/images", "Glance"), (r"POST \S+/tokens", "Keystone")]
)
def test_a_reset_connection_is_retried(
    launcher: Launcher, faults: FaultyNetwork, request_: str, service: str
) -> None:
    faults.rule(request_, times=2, reset="before")
    ended = launcher.run("plan")
    assert ended.exit_code == 0, launcher.words(ended)
    assert f"{service} failed" in launcher.words(ended)


def test_the_quota_is_exceeded_between_plan_and_request(
    launcher: Launcher, faults: FaultyNetwork, nothing_left: NothingLeft
) -> None:
    message = "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"
    faults.rule(SERVER_POST, status=403, body=json.dumps({"forbidden": {"message": message}}))
    words = failed(launcher, code=5)
    assert f"Nova could not create the server: quota exceeded: {message}" in words
    nothing_left()


def test_what_cannot_be_deleted_is_named_and_the_rest_is_deleted(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    """The rest includes a security group that is in use for a while."""
    assert launcher.run("deploy", "--no-wait").exit_code == 0
    faults.rule(r"DELETE \S+/floatingips/", times=EVER, status=500, body='{"message": "broken"}')
    in_use = json.dumps({"NeutronError": {"type": "SecurityGroupInUse", "message": "in use."}})
    faults.rule(r"DELETE \S+/security-groups/", times=3, status=409, body=in_use)
    ended = launcher.run("delete", "--yes", "--retries", "0")
    words = launcher.words(ended)
    assert ended.exit_code == 5
    assert "Could not delete all of 'stackserve'. - floating IP 172.24.4." in words
    assert [left.split()[0] for left in project.leftovers()] == ["floating"]
    faults.clear()
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()


# The server


@pytest.fixture
def enormous(project: Project) -> Iterator[str]:
    name = f"enormous-{project.name}"
    flavor = project.admin.compute.create_flavor(
        name=name, ram=4_000_000, vcpus=64, disk=1000, is_public=False
    )
    project.admin.compute.flavor_add_tenant_access(flavor, project.id)
    with project.quota(ram=-1, cores=-1):
        yield name
    project.admin.compute.delete_flavor(flavor)


def test_no_valid_host(launcher: Launcher, enormous: str, nothing_left: NothingLeft) -> None:
    words = failed(launcher, "--flavor", enormous, code=6)
    assert "The server is in ERROR. Nova says: No valid host was found" in words
    assert f"has room for flavor '{enormous}'" in words and "Try a smaller --flavor" in words
    nothing_left()


@pytest.mark.long
def test_no_valid_host_and_keep(
    launcher: Launcher, enormous: str, project: Project, nothing_left: NothingLeft
) -> None:
    words = failed(launcher, "--flavor", enormous, "--keep", code=6)
    assert "Keeping the created resources (--keep)" in words
    assert servers(project)[0].status == "ERROR"
    ended = launcher.run("deploy", "--no-wait", "--flavor", "service.small")
    words = launcher.words(ended)
    assert ended.exit_code == 0, words
    assert "was ERROR (No valid host was found" in words
    assert [server.status for server in servers(project)] == ["ACTIVE"]


def test_a_server_in_error_shows_novas_fault(
    launcher: Launcher, faults: FaultyNetwork, nothing_left: NothingLeft
) -> None:
    def broken(answer: Any) -> Any:
        fault = {"code": 500, "message": "Exceeded maximum number of retries.", "created": ""}
        answer["server"].update({"status": "ERROR", "fault": fault})
        return answer

    faults.rule(r"GET \S+/servers/[0-9a-f-]{36}$", times=EVER, change=broken)
    words = failed(launcher, code=6)
    assert "Nova says: Exceeded maximum number of retries" in words
    assert "Every hypervisor that Nova tried failed" in words
    nothing_left()


def test_someone_deletes_the_server_meanwhile(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    def delete() -> None:
        own = project.connection()
        for server in own.compute.servers():
            own.compute.delete_server(server)
            own.compute.wait_for_delete(server, interval=0.3, wait=30)

    faults.rule(r"GET \S+/servers/[0-9a-f-]{36}$", call=delete)
    words = failed(launcher, code=6)
    assert "was deleted by someone else" in words
    nothing_left()


def test_the_build_takes_too_long(
    launcher: Launcher, faults: FaultyNetwork, nothing_left: NothingLeft
) -> None:
    def building(answer: Any) -> Any:
        answer["server"].update({"status": "BUILD", "OS-EXT-STS:task_state": "spawning"})
        return answer

    faults.rule(r"GET \S+/servers/[0-9a-f-]{36}$", times=EVER, change=building)
    words = failed(launcher, "--timeout-build", "1", code=8)
    assert "The server is still not ACTIVE after 1 s (BUILD, spawning)" in words
    assert "--timeout-build SECONDS" in words
    nothing_left()


# Addresses


@pytest.mark.long
def test_no_floating_ips_left(
    launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    network = project.admin.network
    outer = network.create_network(name=f"tiny-{project.name}", is_router_external=True)
    subnet = network.create_subnet(
        network_id=outer.id,
        ip_version=4,
        cidr="198.51.100.0/29",
        is_dhcp_enabled=False,
        allocation_pools=[{"start": "198.51.100.2", "end": "198.51.100.2"}],
    )
    own = project.connection().network
    private = own.create_network(name="inner")
    inner = own.create_subnet(network_id=private.id, ip_version=4, cidr="10.79.0.0/24")
    router = own.create_router(name="r2", external_gateway_info={"network_id": outer.id})
    own.add_interface_to_router(router, subnet_id=inner.id)
    try:
        words = failed(launcher, "--network", "inner", code=5)
    finally:
        own.remove_interface_from_router(router, subnet_id=inner.id)
        own.delete_router(router)
        own.delete_network(private)
        network.delete_subnet(subnet)
        network.delete_network(outer)
    assert f"Neutron could not create a floating IP from 'tiny-{project.name}'" in words
    assert "no addresses left" in words and "--floating-ip ADDRESS" in words
    nothing_left()


def test_a_floating_ip_of_the_project_is_used_and_kept(
    launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    own = project.connection()
    public = own.network.find_network("public")
    mine = own.network.create_ip(floating_network_id=public.id)
    address = mine.floating_ip_address
    ended = launcher.run("deploy", "--no-wait", "--floating-ip", address)
    assert ended.exit_code == 0 and f"http://{address}:5100" in ended.stdout
    assert launcher.run("delete", "--yes").exit_code == 0
    assert project.leftovers() == [f"floating IP {address}"]


def test_two_servers_of_one_deployment(
    launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    assert launcher.run("deploy", "--no-wait").exit_code == 0
    own = project.connection()
    port = own.network.create_port(
        network_id=project.network, description=mark("stackserve", "0123abcd")
    )
    words = failed(launcher, code=4)
    assert "port: deployment 'stackserve' has 2:" in words and port.id in words
    assert "Delete the deployment" in words
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()
