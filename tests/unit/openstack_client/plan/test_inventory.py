"""A deployment's resources are found by their marks."""

from __future__ import annotations

from dataclasses import replace

from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Address, Group, Keypair, Port, Server
from openstack_client.plan import inventory

RUN = "0011aabb"
MARK = inventory.mark("web", RUN)
OLD = inventory.mark("web", "ffff0000")
SERVER = Server(
    "s1",
    "stackserve-web",
    "ACTIVE",
    addresses=("10.0.0.5", "172.24.4.9"),
    volumes=("v1",),
    metadata=inventory.metadata("web", run=RUN, code="c", data="d", user="debian"),
)
OTHER = Server("s2", "stackserve-web", "ACTIVE")
GROUP = Group("g1", "stackserve-web", OLD)
PORT = Port("p1", "stackserve-web", MARK, "n1", "10.0.0.5", "s1")
ADDRESS = Address("a1", "172.24.4.9", MARK, "p1", "x1")
ME = Identity("demo", "u1", "demo", "0123456789")
OURS = "stackserve-web-01234567"
PAIRS = (Keypair(OURS, "k"), Keypair("stackserve-web-89abcdef", "k"), Keypair("mine", "k"))


def everything() -> inventory.Inventory:
    return inventory.pick(
        "web",
        ME.project_id,
        servers=(SERVER, OTHER),
        groups=(GROUP, Group("g2", "stackserve-web", "mine")),
        ports=(PORT, Port("p2", "x", inventory.mark("web2", RUN))),
        addresses=(ADDRESS, Address("a2", "172.24.4.10")),
        keypairs=PAIRS,
    )


def test_marks_are_read_back() -> None:
    assert inventory.marked_name(MARK) == "web"
    assert inventory.marked_run(MARK) == RUN
    for foreign in ("", "web", MARK + " more", "stackserve deployment web"):
        assert inventory.marked_name(foreign) is None
        assert inventory.marked_run(foreign) is None


def test_only_marked_resources_belong() -> None:
    mine = everything()
    assert mine.ids == {"s1", "g1", "p1", "a1", OURS}
    assert not mine.empty


def test_a_run_owns_only_what_it_created() -> None:
    made = everything().created_by(RUN)
    assert made.ids == {"s1", "p1", "a1"}
    assert everything().created_by("12345678").empty


def test_the_floating_ip_is_the_address() -> None:
    assert everything().address_of(SERVER) == "172.24.4.9"
    bare = inventory.Inventory("web", servers=(SERVER,))
    assert bare.address_of(Server("s", "x", "ACTIVE", addresses=("10.0.0.7",))) == "10.0.0.7"
    assert bare.address_of(Server("s", "x", "BUILD")) == ""


def test_resources_are_listed_in_order_of_deletion() -> None:
    kinds = [kind for kind, _, _ in everything().lines()]
    assert kinds == ["server", "volume", "floating IP", "port", "security group", "keypair"]


def test_another_users_keypair_is_reported() -> None:
    theirs = replace(SERVER, user="u2", key_name=OURS)
    mine = inventory.Inventory("web", servers=(theirs,))
    note = inventory.keypair_of_another(mine, ME)
    assert "belongs to the user who created the server (u2)" in note
    assert note.endswith(f"openstack keypair delete {OURS}")
    assert inventory.keypair_of_another(mine, replace(ME, user_id="u2")) == ""
    given = replace(mine, servers=(replace(theirs, key_name="laptop"),))
    assert inventory.keypair_of_another(given, ME) == ""
    assert inventory.keypair_of_another(inventory.Inventory("web"), ME) == ""


def test_deployments_are_found_by_any_resource() -> None:
    names = inventory.deployment_names(
        (SERVER, OTHER), (GROUP,), (Port("p", "x", inventory.mark("rest", RUN)),), (ADDRESS,)
    )
    assert names == ["rest", "web"]


def test_worker_vms_are_parts_of_the_deployment() -> None:
    part = "worker-10"
    meta = inventory.metadata("web", run=RUN, code="c", data="d", user="debian", part=part)
    server = Server("w10", "stackserve-web-worker-10", "ACTIVE", metadata=meta)
    lone = Port("q2", "x", inventory.mark("web", RUN, "worker-2"), "n1")
    team = Group("g3", "x", inventory.mark("web", RUN, "worker"))
    mine = everything()
    mine = replace(
        mine,
        servers=(server, *mine.servers),
        ports=(*mine.ports, lone),
        groups=(*mine.groups, team),
    )
    assert mine.front is SERVER and mine.workers == ["worker-2", "worker-10"]
    assert mine.part("").ids == {"s1", "g1", "p1", "a1"}
    assert mine.part(part).servers == (server,) and mine.part("worker-2").ports == (lone,)
    assert mine.part("worker").groups == (team,)
    assert inventory.marked_name(lone.description) == "web"
    assert inventory.marked_run(lone.description) == RUN
    assert inventory.marked_part(lone.description) == "worker-2"
    assert inventory.marked_part(MARK) == ""


def test_worker_vms_are_named_by_number_too() -> None:
    ports = [
        Port(part, part, inventory.mark("web", RUN, part)) for part in ("worker-1", "worker-11")
    ]
    mine = inventory.Inventory("web", ports=tuple(ports))
    assert [mine.worker_named(given) for given in ("1", "worker-11", "11", "2", "worker", "")] == [
        "worker-1",
        "worker-11",
        "worker-11",
        None,
        None,
        None,
    ]
