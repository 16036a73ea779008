"""Who counts as one client, and what is refused before a token is looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from production_server.access.policy import Preset, Scope
from production_server.web import admission
from production_server.web.access import Access
from production_server.web.admission import MOST_CLIENTS, Admission
from production_server.web.problems import Problem
from tests.unit.production_server.web.callers import bearer, make_access

BURST = 3


class Door:
    """An admission whose buckets do not fill up again, and the requests at it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.admission = Admission(1e-6, 1, access)

    def ask(self, headers: dict[str, str] | None = None, **changes: Any) -> int:
        """The status of a refusal; 200 if there is none."""
        lines = [(name.lower().encode(), text.encode()) for name, text in (headers or {}).items()]
        scope = {"path": "/jobs", "client": ("192.0.2.1", 1), "headers": lines, **changes}
        try:
            asyncio.run(self.admission.admit(scope))
        except Problem as problem:
            assert problem.code == "too_many_requests"
            assert int(problem.headers["Retry-After"]) > 0
            return problem.status
        return 200

    def asked(self, headers: dict[str, str] | None = None, **changes: Any) -> list[int]:
        return [self.ask(headers, **changes) for _ in range(BURST + 1)]


USED = [200] * BURST + [429]


@pytest.fixture(params=[Preset.OPEN, Preset.TOKEN])
def door(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    monkeypatch.setattr(admission, "SMALLEST_BURST", BURST)
    return Door(make_access(request.param, tmp_path))


def test_an_address_is_a_client(door: Door) -> None:
    assert door.asked() == USED
    assert door.ask(client=("192.0.2.2", 1)) == 200


def test_a_network_of_ipv6_is_one_client(door: Door) -> None:
    assert door.asked(client=("2001:db8::1", 1)) == USED
    assert door.ask(client=("2001:db8::ffff:2", 1)) == 429
    assert door.ask(client=("2001:db8:0:1::1", 1)) == 200


def test_an_ipv4_address_within_ipv6_is_the_same_client(door: Door) -> None:
    assert door.asked(client=("::ffff:192.0.2.1", 1)) == USED
    assert door.ask() == 429


def test_a_token_is_a_client_wherever_it_comes_from(door: Door) -> None:
    token = bearer(door.access, Scope.PREDICT)
    assert door.asked(token) == USED
    assert door.ask(token, client=("192.0.2.2", 1)) == 429
    assert door.ask() == 200


def test_a_session_is_the_same_client_as_its_token(door: Door) -> None:
    token = bearer(door.access, Scope.PREDICT)
    found = door.access.tokens.find(token["Authorization"][7:])
    assert found is not None
    session = door.access.signing.session({"token": found.id})
    assert door.asked(token) == USED
    assert door.ask({"Cookie": f"a=b; stackserve_session={session}"}) == 429


def test_wrong_tokens_are_refused_before_they_are_looked_at(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    find = door.access.tokens.find
    monkeypatch.setattr(door.access.tokens, "find", lambda text: looked.append(text) or find(text))
    guesses = [door.ask({"Authorization": f"Bearer st_{number:08x}_x"}) for number in range(10)]
    assert guesses == [*USED, *[429] * (9 - BURST)]
    assert len(looked) == BURST
    assert door.ask() == 429  # the same bucket as without any token


def test_a_token_that_was_right_goes_on_beside_somebody_who_guesses(door: Door) -> None:
    token = bearer(door.access, Scope.PREDICT)
    assert door.ask(token) == 200
    assert door.asked({"Authorization": "Bearer wrong"}) == USED
    assert door.ask(token) == 200


def test_a_revoked_token_counts_for_the_address_again(door: Door) -> None:
    token = bearer(door.access, Scope.PREDICT, name="one")
    assert door.ask(token) == 200
    door.access.tokens.revoke("one")
    assert door.asked(token) == USED


def test_a_forged_session_counts_for_the_address(door: Door) -> None:
    assert door.asked({"Cookie": "stackserve_session=forged"}) == USED
    assert door.ask() == 429


def test_the_cookie_of_a_client_does_not_make_another_client(door: Door) -> None:
    cookies = [f"stackserve_client={door.access.signing.client(name)}" for name in "abc"]
    assert [door.ask({"Cookie": cookie}) for cookie in cookies] == [200] * BURST
    assert door.ask() == 429


def test_the_programs_of_the_server_have_no_limit(door: Door) -> None:
    for _ in range(3 * BURST):
        assert door.ask({"Authorization": f"Bearer {door.access.signing.own_token()}"}) == 200


@pytest.mark.parametrize("path", ["/ping", "/ready", "/static/page.js"])
def test_load_balancers_and_files_have_no_limit(door: Door, path: str) -> None:
    assert door.asked(path=path) == [200] * (BURST + 1)


def test_the_processes_share_the_rate(tmp_path: Path) -> None:
    access = make_access(folder=tmp_path)
    doors = {count: Door(access) for count in (1, 4)}
    for count, door in doors.items():
        door.admission = Admission(400.0, count, access)
    asked = {count: sum(door.ask() == 200 for _ in range(900)) for count, door in doors.items()}
    assert 800 <= asked[1] <= 900
    assert 200 <= asked[4] < 400


def test_what_is_remembered_of_tokens_is_bounded(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MOST_CLIENTS", 5)
    assert MOST_CLIENTS > 5
    for number in range(10):
        assert door.ask(bearer(door.access, Scope.PREDICT, name=f"t{number}")) == 200
    assert len(door.admission._right) == 5
