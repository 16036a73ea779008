"""How a server gets its certificate: what is asked for, what it has, and where its name leads."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from openstack_client.cloud import own_address
from openstack_client.cloud.resources import Address, Server
from openstack_client.errors import Problem, SettingsError
from openstack_client.plan.inventory import AUTHORITY_KEY, Inventory
from openstack_client.plan.make import check_tls, deployed_role
from openstack_client.plan.model import Action, Plan
from openstack_client.plan.secured import (
    CERTIFICATE_KEY,
    KIND_KEY,
    Secured,
    asked,
    conflict,
    kept,
    name_note,
)
from openstack_client.roles import TlsKind, ours
from openstack_client.settings import Settings, merge
from openstack_client.tls import Given

NAME, ADDRESS = "clinic.example.org", "203.0.113.7"
ACME = Secured(TlsKind.ACME, NAME)
FILES = Secured(TlsKind.FILES)


def settings(**values: Any) -> Settings:
    return merge(values, {}, None)[0]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, None),
        ({"tls": "self"}, Secured()),
        ({"tls": "a,b"}, FILES),
        ({"tls": "acme", "domain": NAME}, ACME),
        (
            {"tls": "acme", "domain": NAME, "acme_server": "https://x/dir"},
            Secured(TlsKind.ACME, NAME, "https://x/dir"),
        ),
    ],
)
def test_what_is_asked_for(values: dict[str, str], found: Secured | None) -> None:
    assert asked(settings(**values)) == found


@pytest.mark.parametrize(
    ("values", "said", "remedy"),
    [
        ({"tls": "acme"}, "--tls acme needs --domain", "Add --domain NAME"),
        ({"domain": NAME}, "--domain: only for --tls acme", "Add --tls acme"),
        ({"tls": "self", "domain": NAME}, "--domain: only for --tls acme", "leave this out"),
        (
            {"tls": "a,b", "domain": NAME, "acme_server": "https://x/dir"},
            "--domain and --acme-server: only for",
            "Add --tls acme",
        ),
    ],
)
def test_contradictions_are_explained(values: dict[str, str], said: str, remedy: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        deployed_role(settings(**values))
    assert remedy in raised.value.remedy


@pytest.mark.parametrize(
    "has", [Secured(), FILES, ACME, dataclasses.replace(ACME, acme_server="u")]
)
def test_the_metadata_remembers_it(has: Secured) -> None:
    metadata = ours("server").with_tls(has.kind).watched.as_metadata() | has.as_metadata()
    assert kept(Server("s1", "x", "ACTIVE", metadata=metadata)) == has


def test_the_metadata_has_the_fingerprint_of_a_delivered_certificate_and_no_more() -> None:
    given = Given(b"secret", "a" * 64, (NAME,), datetime.now(UTC))
    assert FILES.as_metadata(given) == {KIND_KEY: "files", CERTIFICATE_KEY: "a" * 64}


def test_servers_of_older_releases_and_those_without_tls() -> None:
    secure = ours("server").with_tls().watched.as_metadata()
    older = Server("s1", "x", "ACTIVE", metadata=secure | {AUTHORITY_KEY: "a" * 64})
    assert kept(older) == Secured()
    assert kept(Server("s1", "x", "ACTIVE")) is None
    assert kept(None) is None


def test_a_server_that_stays_keeps_its_kind() -> None:
    assert conflict("x", ACME, ACME) is None
    problem = conflict("x", Secured(), ACME)
    assert isinstance(problem, Problem)
    assert problem.what == f"deployment 'x' has --tls self, not --tls acme --domain {NAME}."
    assert "--recreate" in problem.remedy
    assert "has no TLS, not --tls CERT,KEY" in str(conflict("x", None, FILES))
    other = dataclasses.replace(ACME, acme_server="https://x/dir")
    assert "--acme-server https://x/dir" in str(conflict("x", other, ACME))


@pytest.mark.parametrize(
    ("found", "address", "said"),
    [
        ((ADDRESS,), ADDRESS, ""),
        (("2001:db8::1", ADDRESS), ADDRESS, ""),
        ((), ADDRESS, f"{NAME} is not known, as far as"),
        ((), ADDRESS, f"Let it lead to {ADDRESS} (an A record)"),
        (("192.0.2.1",), ADDRESS, f"{NAME} leads to 192.0.2.1, as far as"),
        ((), "2001:db8::7", "(an AAAA record)"),
        ((), "", "It must lead to the server's address, which deploy prints."),
        (("192.0.2.1",), "", f"{NAME} leads to 192.0.2.1"),
    ],
)
def test_where_the_name_leads(found: tuple[str, ...], address: str, said: str) -> None:
    note = name_note(NAME, found, address)
    assert said in note and bool(said) == bool(note)


def plan(secured: Secured | None, action: Action = Action.CREATE, address: str = "") -> Plan:
    made = Plan("x")
    made.secured, made.front.action, made.front.floating = secured, action, True
    made.front.address = Address("a1", address, "", "", "x1") if address else None
    return made


@pytest.fixture
def leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_address, "addresses_of", lambda name: ["192.0.2.1"])


@pytest.mark.usefixtures("leads")
def test_the_plan_says_where_the_name_must_lead() -> None:
    for address, said in (("", "which deploy prints"), (ADDRESS, f"lead to {ADDRESS}")):
        made = plan(ACME, address=address)
        check_tls(made, None, Inventory("x"), scaling=False)
        assert len(made.warnings) == 1 and said in made.warnings[0]
        assert made.problems == []
    right = plan(ACME, address="192.0.2.1")
    check_tls(right, None, Inventory("x"), scaling=False)
    assert right.warnings == []


@pytest.mark.usefixtures("leads")
def test_scaling_says_nothing_about_the_name() -> None:
    made = plan(ACME, Action.FOUND, ADDRESS)
    check_tls(made, ACME, Inventory("x"), scaling=True)
    assert (made.warnings, made.problems) == ([], [])


@pytest.mark.parametrize(
    ("action", "has", "said"),
    [
        (Action.FOUND, FILES, ""),
        (Action.START, FILES, ""),
        (Action.FOUND, Secured(), "has --tls self, not --tls CERT,KEY"),
        (Action.FOUND, None, "has no TLS"),
        (Action.REPLACE, FILES, "a new server needs both files again"),
    ],
)
def test_a_certificate_that_is_not_on_this_machine(
    action: Action, has: Secured | None, said: str
) -> None:
    made = plan(FILES, action)
    check_tls(made, has, Inventory("x"), scaling=False)
    assert said in " ".join(map(str, made.problems)) and bool(made.problems) == bool(said)
