"""What the launcher does with the authority that a console announces, and with a wrong one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client.cloud.resources import Server
from openstack_client.errors import ServerError
from openstack_client.plan.inventory import AUTHORITY_KEY
from openstack_client.watch import authority
from openstack_client.watch.authority import remember, trust_announced, trust_known
from openstack_client.watch.probe import Service
from openstack_client.watch.trust import Untrusted
from openstack_client.watch.tunnel import Way

WAY = Way("192.0.2.1", 443)
ANNOUNCED, KNOWN = "a" * 64, "b" * 64


def server(known: str = "") -> Server:
    return Server("s1", "x", "ACTIVE", metadata={AUTHORITY_KEY: known} if known else {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fingerprints that were looked for; the server has the announced one."""
    asked: list[str] = []

    def learn(file: Path, address: str, port: int, fingerprint: str) -> Path:
        asked.append(fingerprint)
        if fingerprint != ANNOUNCED:
            raise Untrusted("shows another one")
        return file

    monkeypatch.setattr(authority, "learn", learn)
    return asked


@pytest.mark.parametrize("known", ["", KNOWN])
def test_the_console_counts_more_than_what_was_known(
    asked: list[str], tmp_path: Path, known: str
) -> None:
    service = WAY.service()
    trust_announced(service, WAY, tmp_path / "one.pem", server(known), ANNOUNCED)
    assert (asked, service.untrusted) == ([ANNOUNCED], "")


def test_before_the_console_says_anything_it_waits(asked: list[str], tmp_path: Path) -> None:
    service = WAY.service()
    trust_announced(service, WAY, tmp_path / "one.pem", server(), "")
    assert (asked, service.untrusted) == ([], "has not announced its certificate authority yet")


def test_a_wrong_authority_ends_the_deploy(asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"https://192\.0\.2\.1 shows another one"):
        trust_announced(WAY.service(), WAY, tmp_path / "one.pem", server(), KNOWN)


def test_a_wrong_authority_makes_the_status_bad(asked: list[str], tmp_path: Path) -> None:
    service = WAY.service()
    trust_known(service, WAY, tmp_path / "one.pem", server(KNOWN))
    assert service.probe().summary == "https://192.0.2.1 shows another one"


def test_the_status_of_one_that_never_became_ready(asked: list[str], tmp_path: Path) -> None:
    service = WAY.service()
    trust_known(service, WAY, tmp_path / "one.pem", server())
    assert "`deploy` reads its console" in service.probe().summary


def test_one_that_does_not_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def learn(*_: object) -> Path:
        raise ConnectionRefusedError

    monkeypatch.setattr(authority, "learn", learn)
    service = WAY.service()
    trust_announced(service, WAY, tmp_path / "one.pem", server(), ANNOUNCED)
    assert service.untrusted == "does not answer yet"


def test_it_is_noted_once() -> None:
    noted: list[Any] = []
    nova = SimpleNamespace(servers=SimpleNamespace(set_meta=lambda *given: noted.append(given)))
    cloud: Any = SimpleNamespace(nova=nova, request=lambda service, doing, call: call())
    remember(cloud, server(ANNOUNCED), ANNOUNCED)
    remember(cloud, server(KNOWN), ANNOUNCED)
    assert noted == [("s1", {AUTHORITY_KEY: ANNOUNCED})]


def test_without_tls_a_service_needs_no_trust() -> None:
    assert Service("192.0.2.1", 5100).untrusted == ""
