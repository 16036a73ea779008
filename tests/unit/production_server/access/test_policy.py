"""The policy's decisions about jobs, and the signatures of cookies."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from production_server.access import signing
from production_server.access.policy import Caller, Preset, Scope, may_use, needed, own_key
from production_server.access.signing import Signing, signing_of
from production_server.errors import AccessError

JOBS = frozenset({Scope.JOBS})
ALICE = Caller("alice", JOBS, "token:alice")
BOB = Caller("bob", JOBS, "token:bob")
BOSS = Caller("boss", frozenset({Scope.OPERATE}), "token:boss")
VISITOR = Caller("anonymous", JOBS)
CLIENT = Caller("anonymous", JOBS, "client:1")


@pytest.mark.parametrize(
    ("caller", "owner", "open_", "token"),
    [
        (ALICE, "token:alice", True, True),
        (BOB, "token:alice", False, False),
        (VISITOR, "token:alice", False, False),
        (BOSS, "token:alice", True, True),
        (CLIENT, "client:1", True, True),
        # Whoever knows the address of an anonymous client's job may use it.
        (VISITOR, "client:1", True, False),
        (CLIENT, "client:2", True, False),
        # A job of a release that did not know owners.
        (VISITOR, None, True, False),
        (BOSS, None, True, True),
    ],
)
def test_who_may_use_a_job(caller: Caller, owner: str | None, open_: bool, token: bool) -> None:
    assert may_use(caller, owner, Preset.OPEN) is open_
    assert may_use(caller, owner, Preset.TOKEN) is token


def test_a_route_that_the_table_does_not_know_takes_the_strongest_scope() -> None:
    assert needed("GET", "/new") is Scope.OPERATE
    assert needed("DELETE", "/ping") is Scope.OPERATE
    assert needed("HEAD", "/metrics") is Scope.OPERATE
    assert needed("HEAD", "/ping") is None


def test_two_owners_may_use_the_same_idempotency_key() -> None:
    keys = {own_key(caller.owner, "k") for caller in (ALICE, BOB, CLIENT, VISITOR)}
    assert len(keys) == 4 and "k" in keys
    assert own_key(ALICE.owner, None) is None
    assert all(len(key or "") <= 255 for key in keys)


def test_only_our_own_cookies_count(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Signing(b"a" * 32), Signing(b"b" * 32)
    session = ours.session({"token": "12345678"})
    assert ours.session_of(session)["token"] == "12345678"
    assert ours.session({"token": "12345678"}) != session
    assert theirs.session_of(session) == {}
    assert ours.session_of(session[:-1]) == {}
    assert ours.session_of("12345678") == {}
    client = ours.client("c1")
    assert ours.client_of(client) == "c1"
    # One kind of cookie is not good for the other.
    assert ours.session_of(client) == {} and ours.client_of(session) is None
    assert ours.csrf(session) != ours.csrf(client) != theirs.csrf(client)
    monkeypatch.setattr(signing, "SESSION_SECONDS", -1)
    assert ours.session_of(session) == {}


def test_a_program_of_the_service_proves_itself_for_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = Signing(b"a" * 32), Signing(b"b" * 32)
    token = ours.own_token()
    assert ours.is_own(token) and not theirs.is_own(token)
    session = ours.session({"token": "1"})
    for other in (token[4:], "own_", f"own_{session}", f"own_{ours.client('c1')}", token[:-1]):
        assert not ours.is_own(other)
    monkeypatch.setattr(signing, "OWN_SECONDS", -1)
    assert not ours.is_own(token)


def test_processes_that_start_together_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: signing_of(tmp_path / "access"), range(16)))
    session = made[0].session({"token": "1"})
    assert all(one.session_of(session) for one in made)
    assert [path.name for path in (tmp_path / "access").iterdir()] == ["signing.key"]


def test_the_key_is_created_once_and_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "access"
    session = signing_of(folder).session({"token": "1"})
    assert signing_of(folder).session_of(session)["token"] == "1"
    key = folder / "signing.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.write_bytes(b"short")
    with pytest.raises(AccessError, match="is damaged"):
        signing_of(folder)
