"""Tokens: created once, kept as hashes, expiring and revocable."""

from __future__ import annotations

import hmac
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from production_server.access import tokens as module
from production_server.access.policy import Scope
from production_server.access.tokens import NO_DIGEST, Tokens
from production_server.errors import AccessError

PREDICT = frozenset({Scope.PREDICT})


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "access")


def test_a_token_is_found_by_its_text_alone(tokens: Tokens) -> None:
    plain = tokens.create("ci", PREDICT, None)
    found = tokens.find(plain)
    assert found is not None and (found.name, found.scopes) == ("ci", PREDICT)
    for wrong in ("", plain[:-1], plain + "A", plain.upper(), plain[:12] + "A" * 43, f" {plain}"):
        assert tokens.find(wrong) is None


def test_the_file_holds_no_token_and_nobody_else_can_read_it(
    tokens: Tokens, tmp_path: Path
) -> None:
    plain = tokens.create("ci", PREDICT, None)
    folder = tmp_path / "access"
    for path in folder.iterdir():
        assert plain[12:].encode() not in path.read_bytes()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "tokens.json").stat().st_mode) == 0o600


def test_a_revoked_token_and_one_past_its_time_are_not_valid(tokens: Tokens) -> None:
    now = datetime.now().astimezone()
    lasting = tokens.create("lasting", PREDICT, now + timedelta(hours=1))
    past = tokens.create("past", PREDICT, now - timedelta(seconds=1))
    assert tokens.find(lasting) is not None
    assert tokens.find(past) is None
    tokens.revoke("lasting")
    assert tokens.find(lasting) is None
    assert [token.name for token in tokens.all()] == ["past"]


def test_another_process_sees_a_new_token_and_a_revoked_one(tokens: Tokens, tmp_path: Path) -> None:
    plain = tokens.create("ci", PREDICT, None)
    other = Tokens(tmp_path / "access")
    assert other.find(plain) is not None
    tokens.revoke("ci")
    assert other.find(plain) is None


def test_a_name_is_used_once_until_its_token_expires(tokens: Tokens) -> None:
    now = datetime.now().astimezone()
    tokens.create("ci", PREDICT, now - timedelta(seconds=1))
    second = tokens.create("ci", PREDICT, now + timedelta(hours=1))
    assert tokens.find(second) is not None
    with pytest.raises(AccessError, match="there is a token 'ci' already"):
        tokens.create("ci", PREDICT, None)
    with pytest.raises(AccessError, match="there is no token 'other'"):
        tokens.revoke("other")


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a\nb", "../x", "a" * 41])
def test_names_that_could_mislead_in_a_log(tokens: Tokens, name: str) -> None:
    with pytest.raises(AccessError, match="is not a name"):
        tokens.create(name, PREDICT, None)


def test_many_that_are_created_at_the_same_time(tokens: Tokens, tmp_path: Path) -> None:
    def create(number: int) -> str:
        return Tokens(tmp_path / "access").create(f"t{number}", PREDICT, None)

    with ThreadPoolExecutor(8) as pool:
        plain = list(pool.map(create, range(24)))
    assert all(tokens.find(one) for one in plain)


def test_a_damaged_file_is_told_and_kept(tokens: Tokens, tmp_path: Path) -> None:
    tokens.create("ci", PREDICT, None)
    path = tmp_path / "access" / "tokens.json"
    path.write_text("{")
    for attempt in (tokens.all, lambda: tokens.create("b", PREDICT, None)):
        with pytest.raises(AccessError, match="cannot read the tokens"):
            attempt()
    assert path.read_text() == "{"


def test_every_token_is_compared_in_constant_time(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tokens.create("ci", PREDICT, None)
    compared: list[tuple[str, str]] = []
    constant = hmac.compare_digest

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return constant(one, other)

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    unknown = f"st_{'0' * 8}_{'A' * 43}"
    for text in (plain, unknown, "garbage"):
        tokens.find(text)
    assert [other == NO_DIGEST for _, other in compared] == [False, True, True]
    assert {len(one) for pair in compared for one in pair} == {64}


def test_the_command_line(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "production_server", "tokens", *arguments],
            env={"STACKSERVE_HOME": str(tmp_path), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    made = run("create", "ci", "--scope", "operate", "--expires", "12h")
    assert made.returncode == 0 and "not shown again" in made.stderr
    found = Tokens(tmp_path / "access").find(made.stdout.strip())
    assert found is not None and found.scopes == {Scope.OPERATE}
    listed = run("list")
    assert "ci" in listed.stdout and "operate" in listed.stdout
    assert made.stdout.strip()[12:] not in listed.stdout
    assert run("create", "ci").stderr.startswith("Error: there is a token 'ci' already")
    assert "12h, 90d or never" in run("create", "b", "--expires", "soon").stderr
    assert run("revoke", "ci").returncode == 0
    assert run("list", "--json").stdout.strip() == "[]"
