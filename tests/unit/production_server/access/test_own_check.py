"""A deployer's own function, and everything it can do wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from production_server.access.own_check import CheckFailed, Refused, caller_of, load
from production_server.access.policy import Preset, Scope, may_use
from production_server.errors import SettingsError

NOBODY: frozenset[Scope] = frozenset()


def ask(answer: Any) -> Any:
    def check(headers: Mapping[str, str]) -> tuple[str, Iterable[str]] | None:
        assert headers == {"x-remote-user": "ada"}
        if isinstance(answer, BaseException):
            raise answer
        found: tuple[str, Iterable[str]] | None = answer
        return found

    return caller_of(check, {"x-remote-user": "ada"}, NOBODY)


def test_it_says_who_it_is_and_what_that_person_may() -> None:
    caller = ask(("ada", ["predict", "jobs"]))
    assert (caller.name, caller.owner) == ("ada", "own:ada")
    assert caller.scopes == {Scope.PREDICT, Scope.JOBS}


def test_it_may_know_nobody() -> None:
    assert ask(None) is None


def test_what_everybody_may_is_added() -> None:
    caller = caller_of(lambda headers: ("ada", []), {}, frozenset({Scope.PREDICT}))
    assert caller is not None and caller.scopes == {Scope.PREDICT}


def test_it_may_refuse() -> None:
    with pytest.raises(Refused):
        ask(PermissionError("no"))


@pytest.mark.parametrize(
    "answer",
    [KeyError("x"), ValueError(), True, "ada", ("ada",), ("ada", ["admin"]), ("ada", None)],
    ids=repr,
)
def test_whatever_else_it_does_lets_nobody_in(answer: Any) -> None:
    with pytest.raises(CheckFailed):
        ask(answer)


def test_the_log_does_not_tell_what_it_was_given(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CheckFailed):
        ask(RuntimeError("Bearer very-secret"))
    assert "RuntimeError" in caplog.text and "secret" not in caplog.text


@pytest.mark.parametrize("preset", list(Preset))
def test_jobs_of_its_people_are_theirs_alone(preset: Preset) -> None:
    ada, bob = ask(("ada", ["jobs"])), caller_of(lambda _: ("bob", ["jobs"]), {}, NOBODY)
    assert bob is not None
    assert may_use(ada, "own:ada", preset)
    assert not may_use(bob, "own:ada", preset)


def test_it_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whose.py").write_text("def check(headers): return 'ada', ['predict']\nnone = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load("whose:check")({}) == ("ada", ["predict"])
    with pytest.raises(SettingsError, match="is not a function"):
        load("whose:none")
    sys.modules.pop("whose")


@pytest.mark.parametrize("named", ["nowhere:check", "json:nothing", "json", ":x", "json:"])
def test_a_wrong_name_is_explained(named: str) -> None:
    with pytest.raises(SettingsError, match="cannot be imported"):
        load(named)
