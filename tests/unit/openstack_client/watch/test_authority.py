"""What the launcher does with the authority that a console announces, and with a wrong one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client.cloud.resources import Server
from openstack_client.errors import CloudError
from openstack_client.plan.inventory import AUTHORITY_KEY
from openstack_client.plan.secured import CERTIFICATE_KEY, KIND_KEY
from openstack_client.watch import authority
from openstack_client.watch.authority import Recognition
from openstack_client.watch.probe import Service
from openstack_client.watch.trust import Untrusted
from openstack_client.watch.tunnel import Way

WAY = Way("192.0.2.1", 443)
SHOWN, OTHER = "a" * 64, "b" * 64


def announced(fingerprint: str) -> str:
    return f"booting\nSTACKSERVE-AUTHORITY sha256={fingerprint}\n"


class Place:
    """A server that has the authority SHOWN, a cloud that takes notes, and a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.notes: list[tuple[str, dict[str, str]]] = []
        self.answers = self.may_note = True
        self.file = folder / "one.pem"
        monkeypatch.setattr(authority, "learn", self.learn)

    def learn(self, file: Path, address: str, port: int, fingerprint: str) -> Path:
        self.asked.append(fingerprint)
        if not self.answers:
            raise ConnectionRefusedError
        if fingerprint != SHOWN:
            raise Untrusted("shows another one")
        return file

    def request(self, service: str, doing: str, call: Any) -> None:
        if not self.may_note:
            raise CloudError("Nova refused", "", status=403)
        call()

    def recognition(self, **metadata: str) -> Recognition:
        servers = SimpleNamespace(set_meta=lambda *given: self.notes.append(given))
        cloud: Any = SimpleNamespace(nova=SimpleNamespace(servers=servers), request=self.request)
        server = Server("s1", "x", "ACTIVE", metadata=metadata)
        return Recognition(cloud, server, WAY, WAY.service(), self.file)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


@pytest.mark.parametrize("noted", [{}, {AUTHORITY_KEY: OTHER}])
def test_the_console_counts_more_than_what_was_noted(place: Place, noted: dict[str, str]) -> None:
    known = place.recognition(**noted)
    known.update(announced(SHOWN))
    assert (place.asked, known.service.untrusted) == ([SHOWN], "")
    assert place.notes == [("s1", {AUTHORITY_KEY: SHOWN})]


def test_what_was_noted_counts_once_the_console_has_forgotten(place: Place) -> None:
    known = place.recognition(**{AUTHORITY_KEY: SHOWN})
    known.update("login:")
    assert (place.asked, place.notes, known.service.untrusted) == ([SHOWN], [], "")


def test_before_the_console_says_anything_it_waits(place: Place) -> None:
    known = place.recognition()
    known.update("")
    assert place.asked == []
    assert known.service.probe().summary.endswith("has not announced its certificate authority yet")


def test_an_authority_that_is_announced_later_replaces_the_first(place: Place) -> None:
    """A renewal or another address: the launcher needs no --recreate."""
    known = place.recognition(**{AUTHORITY_KEY: OTHER})
    known.trusted = OTHER
    known.update(announced(OTHER))
    assert place.asked == []
    known.update(announced(OTHER) + announced(SHOWN))
    assert (place.asked, known.trusted) == ([SHOWN], SHOWN)
    assert place.notes == [("s1", {AUTHORITY_KEY: SHOWN})]


def test_a_server_with_another_authority_is_not_trusted(place: Place) -> None:
    known = place.recognition(**{AUTHORITY_KEY: SHOWN})
    with pytest.raises(Untrusted, match="shows another one"):
        known.update(announced(OTHER))
    assert (known.trusted, place.notes) == ("", [])
    assert known.service.untrusted


def test_one_that_does_not_answer_is_asked_again(place: Place) -> None:
    known = place.recognition()
    place.answers = False
    known.update(announced(SHOWN))
    assert known.service.untrusted == "does not answer yet"
    place.answers = True
    known.update(announced(SHOWN))
    assert (place.asked, known.service.untrusted) == ([SHOWN, SHOWN], "")


def test_it_is_noted_once_and_not_by_those_who_may_not(place: Place) -> None:
    place.recognition(**{AUTHORITY_KEY: SHOWN}).update(announced(SHOWN))
    place.may_note = False
    known = place.recognition()
    known.update(announced(SHOWN))
    assert (place.notes, known.service.untrusted) == ([], "")


def test_a_delivered_certificate_is_known_by_what_was_noted(place: Place) -> None:
    """Whatever the console says: nothing else than this certificate counts."""
    known = place.recognition(**{KIND_KEY: "files", CERTIFICATE_KEY: OTHER})
    known.update(announced(SHOWN))
    assert (place.asked, known.trusted, known.service.untrusted) == ([], OTHER, "")
    unknown = place.recognition(**{KIND_KEY: "files"})
    unknown.update(announced(SHOWN))
    assert unknown.service.untrusted == "was not given a certificate yet"


def test_without_tls_a_service_needs_no_trust() -> None:
    assert Service("192.0.2.1", 5100).untrusted == ""
