"""What a role decides in the plan: rules, flavor, image, address and whether a server fits."""

from __future__ import annotations

import dataclasses

from openstack_client.cloud.resources import Flavor, Rule, Server
from openstack_client.plan import inventory
from openstack_client.plan.decide import decide
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Action, Parcel, Plan
from openstack_client.plan.security_group import listed_ports
from openstack_client.roles import Port, Role, Who, ours
from openstack_client.settings import merge
from tests.unit.openstack_client.plan.test_decide import FACTS, KEY, ME, PARCEL, whole

HELLO = ours("hello")
ANY, OFFICE = "0.0.0.0/0", "192.0.2.0/24"


def plan(
    role: Role = HELLO,
    mine: Inventory | None = None,
    *,
    recreate: bool = False,
    parcel: Parcel = PARCEL,
    **flags: object,
) -> Plan:
    small = Flavor("t", "tiny", 1, 1024, 6)
    return decide(
        merge(flags, {}, None)[0],
        dataclasses.replace(FACTS, flavors=(*FACTS.flavors, small)),
        mine or Inventory("stackserve"),
        identity=ME,
        key=KEY,
        parcel=parcel,
        role=role,
        recreate=recreate,
    )


def server_of(role: Role) -> Server:
    values = inventory.metadata(
        "stackserve", run="00ff", code="c0de", data="d", user="debian", watched=role.watched
    )
    return Server("s1", "stackserve-stackserve", "ACTIVE", metadata=values)


def test_its_ports_are_opened_to_whom_it_says() -> None:
    made = plan(allow_from=ANY, ssh_from=OFFICE)
    assert made.front.group.add_rules == [Rule(80, ANY), Rule(22, OFFICE)]
    assert listed_ports(HELLO.ports) == "ports 80 and 22"
    assert listed_ports([]) == "no port"
    assert listed_ports([Port(port=80, who=Who.USERS)]) == "port 80"


def test_the_smallest_flavor_is_its_own() -> None:
    small, large = plan().front.flavor, plan(ours("server")).front.flavor
    assert small and large
    assert (small.name, large.name) == ("tiny", "small")


def test_it_gets_a_floating_ip_if_it_wants_one() -> None:
    inside = HELLO.model_copy(update={"floating_ip": False})
    assert plan().front.floating and not plan(floating_ip="none").front.floating
    assert not plan(inside).front.floating
    assert "floating IP" not in {item.kind for item in plan(inside).items}


def test_a_server_of_the_same_role_is_kept() -> None:
    made = plan(mine=whole(servers=(server_of(HELLO),)))
    assert made.front.action is Action.FOUND and made.problems == []


def test_a_server_of_another_role_is_not_touched() -> None:
    """Neither by forgetting --role for a page, nor by naming one for the service."""
    for has, wanted in ((HELLO, ours("server")), (ours("server"), HELLO)):
        (problem,) = plan(wanted, whole(servers=(server_of(has),))).problems
        assert problem.what == (
            f"deployment 'stackserve' has the role '{has.name}', not '{wanted.name}'."
        )
        assert "--role" in problem.remedy
        assert plan(wanted, whole(servers=(server_of(has),)), recreate=True).problems == []


def test_a_server_without_a_role_in_its_metadata_is_the_service() -> None:
    old = Server("s1", "x", "ACTIVE", metadata={inventory.NAME_KEY: "stackserve"})
    assert inventory.watched(old) == ours("server").watched


def test_what_is_lost_with_a_server() -> None:
    made = plan(mine=whole(servers=(server_of(HELLO),)), recreate=True)
    assert "deletes everything that was stored on it." in made.loss
    assert "backup" not in made.loss
    nothing = HELLO.model_copy(update={"data": ""})
    assert plan(nothing, whole(servers=(server_of(HELLO),)), recreate=True).loss == ""
