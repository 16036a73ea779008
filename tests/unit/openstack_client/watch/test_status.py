"""Status: parsing units and queues, drift, and the rows of `list`."""

from __future__ import annotations

from dataclasses import replace

from openstack_client.cloud.resources import Address, Port, Server
from openstack_client.plan import inventory
from openstack_client.plan.inventory import Inventory
from openstack_client.watch.probe import Probe
from openstack_client.watch.status import (
    Inspection,
    Unit,
    deployments,
    drift,
    parse_inspection,
    parse_queues,
    parse_units,
    status_json,
    worker_rows,
)

SHOW = """\
Id=rabbitmq-server.service
ActiveState=active
SubState=running
NRestarts=0
MemoryCurrent=104857600

Id=stackserve-worker@1.service
ActiveState=failed
SubState=failed
NRestarts=5
MemoryCurrent=[not set]

Id=stackserve-web.service
ActiveState=active
SubState=running
NRestarts=0
MemoryCurrent=18446744073709551615
"""
SERVER = Server(
    "s1",
    "stackserve-web",
    "ACTIVE",
    flavor="small",
    addresses=("10.0.0.5",),
    metadata=inventory.metadata("web", run="00", code="old", data="d", user="debian"),
)


def test_units() -> None:
    units = parse_units(SHOW)
    assert units[0] == Unit("rabbitmq-server", "active", "running", 0, 100)
    assert units[1] == Unit("stackserve-worker@1", "failed", "failed", 5, None)
    assert units[2].memory_mb is None
    assert [unit.healthy for unit in units] == [True, False, True]
    assert parse_units("") == ()


def test_queues_without_reply_queues() -> None:
    text = '[{"name": "stackserve.jobs", "messages": 3}, {"name": "amq.gen-x", "messages": 9},'
    text += ' {"name": "stackserve.reply.9f42-a1", "messages": 1}]'
    assert parse_queues(text) == {"stackserve.jobs": 3}
    assert parse_queues("") == {} and parse_queues("Error: x") == {}


def test_output_before_a_timeout_is_used() -> None:
    inside = parse_inspection(SHOW + "\n---\n[{", "ssh: too slow")
    assert len(inside.units) == 3 and inside.queues == {} and inside.problem == "ssh: too slow"
    assert parse_inspection("Id=half") == Inspection((Unit("half", "unknown"),))


def test_drift() -> None:
    assert [drift("a", "a"), drift("a", "b"), drift("a", None)] == ["none", "differs", "unknown"]


def test_a_ready_deployment() -> None:
    mine = Inventory("web", servers=(SERVER,))
    content = status_json(
        SERVER,
        mine,
        probe=Probe(True, "yes (0.8)", model="m m-1"),
        alive={"code_hash": "new"},
        inside=Inspection(parse_units(SHOW), {"stackserve.jobs": 0}),
        on_disk="new",
    )
    assert content["ready"] and content["drift"] == "none" and content["model"] == "m m-1"
    assert content["units"][1]["healthy"] is False and content["queues"] == {"stackserve.jobs": 0}


def test_a_deployment_that_does_not_answer_shows_its_code() -> None:
    mine = Inventory("web", servers=(SERVER,))
    content = status_json(
        SERVER, mine, probe=Probe(False, "refuses"), alive=None, inside=None, on_disk="new"
    )
    assert not content["ready"] and content["model"] is None
    assert content["code_deployed"] == "old" and content["drift"] == "differs"


def test_no_server() -> None:
    content = status_json(
        None, Inventory("web"), probe=None, alive=None, inside=None, on_disk="new"
    )
    assert content["server_status"] == "missing" and content["drift"] == "unknown"


def test_the_work_of_each_worker_vm() -> None:
    parts = ("worker-1", "worker-2")
    servers = tuple(
        replace(SERVER, id=part, metadata=SERVER.metadata | {inventory.PART_KEY: part})
        for part in parts
    )
    mine = Inventory("web", servers=(SERVER, *servers))
    listed = {"worker-1": {"name": "worker-1", "connected": True, "tasks": 7, "busy": 0.5}}
    first, second = worker_rows(mine, listed)
    assert (first["connected"], first["tasks"], first["busy"]) == (True, 7, 0.5)
    # A front end of an older release tells less.
    assert (first["versions"], first["last_heard"]) == (None, None)
    assert (second["connected"], second["tasks"]) == (False, None)
    assert [row["connected"] for row in worker_rows(mine, None)] == [None, None]


def test_list_rows() -> None:
    port = Port("p1", "x", inventory.mark("web", "00"), "n", "10.0.0.5", "s1")
    address = Address("a1", "172.24.4.9", inventory.mark("web", "00"), "p1")
    loose = Address("a2", "172.24.4.8", inventory.mark("half", "00"))
    rows = deployments((SERVER,), (), (port,), (address, loose))
    assert [(row["name"], row["status"], row["address"]) for row in rows] == [
        ("half", "no server", None),
        ("web", "ACTIVE", "172.24.4.9"),
    ]


def test_a_service_that_is_not_ready_says_why() -> None:
    why = {"detail": "broker: RabbitMQ accepts no messages: its server is low on disk"}
    content = status_json(
        SERVER,
        Inventory("web", servers=(SERVER,)),
        probe=Probe(False, "answers HTTP 503"),
        alive=None,
        inside=None,
        on_disk="new",
        not_ready=why,
    )
    assert content["service"] == why["detail"]
