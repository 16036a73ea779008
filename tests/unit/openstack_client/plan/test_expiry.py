"""When a deployment expires, which ones are due, and what the plan shows."""

from __future__ import annotations

import datetime as dt

from openstack_client import lifetime
from openstack_client.cloud.resources import Address, Port, Server
from openstack_client.plan import expiry, inventory
from openstack_client.plan.expiry import decide_expiry, due, metadata
from openstack_client.plan.inventory import EXPIRES_KEY, Inventory
from openstack_client.plan.model import Action, Plan, ServerPlan
from openstack_client.settings import Settings

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MARK = inventory.mark("course", "00ff")
EXPIRING = f"{MARK} expiring"


def server(expires: dt.datetime | str | None, id_: str = "s1") -> Server:
    text = lifetime.written(expires) if isinstance(expires, dt.datetime) else expires
    return Server(id_, "stackserve-course", "ACTIVE", metadata={EXPIRES_KEY: text} if text else {})


def course(*servers: Server, description: str = MARK) -> Inventory:
    port = Port("p1", "stackserve-course", description)
    return Inventory("course", servers, ports=(port,))


def test_only_what_has_expired_is_due() -> None:
    past, future = course(server(NOW - HOUR)), course(server(NOW + HOUR))
    forever, unreadable = course(server(None)), course(server("soon"))
    assert due([past, future, forever, unreadable], NOW) == [past]
    assert due([course(server(NOW))], NOW) != []


def test_the_latest_of_several_servers_counts() -> None:
    both = course(server(NOW - HOUR), server(NOW + HOUR, "s2"))
    assert expiry.expires_at(both) == NOW + HOUR
    assert due([both], NOW) == []


def test_what_a_removal_left_is_due_without_its_server() -> None:
    left = course(description=EXPIRING)
    address = Inventory("course", addresses=(Address("a1", "172.24.4.9", EXPIRING),))
    half_made = course()
    assert due([left, address, half_made], NOW) == [left, address]


def test_a_removal_that_began_keeps_its_marks() -> None:
    assert inventory.marked_name(EXPIRING) == "course"
    assert inventory.marked_run(EXPIRING) == "00ff"
    assert expiry.described(course(server(NOW), description=EXPIRING), NOW) == "being removed"
    assert not expiry.removal_began(course(server(NOW)))


def test_a_server_gets_its_moment_when_it_is_created() -> None:
    settings = Settings(ttl="8h")
    assert metadata(settings, None, NOW) == {EXPIRES_KEY: "2026-03-01T20:00:00Z"}
    assert metadata(Settings(), None, NOW) == {}


def test_a_server_that_replaces_another_keeps_its_moment() -> None:
    old = server(NOW + HOUR)
    assert metadata(Settings(), old, NOW) == {EXPIRES_KEY: "2026-03-01T13:00:00Z"}
    assert metadata(Settings(ttl="8h"), old, NOW) == {EXPIRES_KEY: "2026-03-01T20:00:00Z"}
    assert metadata(Settings(), server(None), NOW) == {}


def planned(settings: Settings, old: Server | None, action: Action, removal: str = "") -> Plan:
    plan = Plan("course", [ServerPlan("course", server=old, action=action)])
    decide_expiry(plan, settings, course(), removal)
    return plan


def test_the_plan_shows_the_time_to_live() -> None:
    asked, kept = Settings(ttl="8h"), server(NOW + HOUR)
    shown = {
        name: [(item.name, item.action) for item in plan.items]
        for name, plan in {
            "none": planned(Settings(), None, Action.CREATE),
            "new": planned(asked, None, Action.CREATE),
            "kept": planned(Settings(), kept, Action.FOUND),
            "changed": planned(asked, kept, Action.FOUND),
        }.items()
    }
    assert shown == {
        "none": [],
        "new": [("8h", Action.CREATE)],
        "kept": [("2026-03-01T13:00:00Z", Action.FOUND)],
        "changed": [("8h", Action.CHANGE)],
    }


def test_the_plan_names_reap_where_the_server_cannot_remove_itself() -> None:
    why = "Keystone has no access rules"
    plan = planned(Settings(ttl="8h"), None, Action.CREATE, why)
    assert len(plan.warnings) == 1
    assert why in plan.warnings[0] and "`reap --yes` from cron" in plan.warnings[0]
    assert planned(Settings(), None, Action.CREATE, why).warnings == []


def test_a_deployment_that_is_being_removed_is_not_deployed_again() -> None:
    plan = Plan("course", [ServerPlan("course", server=server(NOW))])
    decide_expiry(plan, Settings(), course(server(NOW), description=EXPIRING), "")
    assert [problem.subject for problem in plan.problems] == ["time to live"]
    assert "delete course" in plan.problems[0].remedy
