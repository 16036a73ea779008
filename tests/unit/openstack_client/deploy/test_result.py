"""What a deploy with TLS ends with: the address for people, and what a certificate lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from openstack_client.deploy import result
from openstack_client.deploy.result import Result, certified
from openstack_client.plan.secured import Secured
from openstack_client.roles import TlsKind, ours
from openstack_client.watch.shown import Validity
from openstack_client.watch.tunnel import Way

ADDRESS, NAME = "203.0.113.7", "clinic.example.org"
WAY, OWN = Way(ADDRESS, 443), Path("/x/own.pem")
ACME = Secured(TlsKind.ACME, NAME)


def ended(
    monkeypatch: pytest.MonkeyPatch, secured: Secured, seen: Validity | None, *leads: str
) -> Result:
    monkeypatch.setattr(result, "validity", lambda way, domain: seen)
    monkeypatch.setattr(result, "addresses_of", lambda name: list(leads))
    watched = ours("server").with_tls(secured.kind).watched
    found = Result("x", ADDRESS, "s1", True, "ssh", watched)
    found.tls = certified(secured, WAY, ADDRESS, OWN)
    return found


def test_people_use_the_name_once_the_certificate_is_issued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = ended(monkeypatch, ACME, Validity("for it"), ADDRESS)
    assert found.url == f"https://{NAME}/predictions"
    assert found.as_json()["certificate"] == "for it"
    assert found.as_json()["certificate_problem"] is None


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        ((), f"Let it lead to {ADDRESS}"),
        (("192.0.2.1",), f"{NAME} leads to 192.0.2.1"),
        ((ADDRESS,), "`logs --unit proxy` says why"),
    ],
)
def test_a_certificate_that_is_not_issued_yet(
    monkeypatch: pytest.MonkeyPatch, leads: tuple[str, ...], said: str
) -> None:
    found = ended(monkeypatch, ACME, Validity("not yet", issued=False), *leads)
    assert found.ready
    assert found.url == f"https://{ADDRESS}/predictions"
    assert said in found.as_json()["certificate_problem"]
    assert found.authority == OWN


def test_the_other_kinds_lack_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, authority in ((TlsKind.SELF, OWN), (TlsKind.FILES, None)):
        found = ended(monkeypatch, Secured(kind), Validity("valid"))
        assert (found.authority, found.url) == (authority, f"https://{ADDRESS}/predictions")
        assert found.as_json()["certificate_problem"] is None


def test_a_server_that_has_just_stopped_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ended(monkeypatch, ACME, None)
    assert (found.url, found.tls and found.tls.certificate) == (
        f"https://{ADDRESS}/predictions",
        "",
    )
