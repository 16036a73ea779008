"""Two deploys of one name: exactly one goes on."""

from __future__ import annotations

import itertools

import pytest

from openstack_client.cloud.resources import Port
from openstack_client.deploy.lease import (
    STALE,
    STALE_WISH,
    Claim,
    busy,
    claims,
    held_by_another,
    rival,
)
from openstack_client.plan.inventory import mark

NOW = 1_800_000_000.0


def claim(state: str, run: str, age: float = 0) -> Claim:
    return Claim(state, run, int(NOW - age))


def test_tags_are_read_back() -> None:
    made = [claim("wants", "0a"), claim("holds", "ff", 5)]
    tags = (*(entry.tag for entry in made), "other", "stackserve-wants-x-1")
    assert claims(Port("p", "x", mark("web", "0b"), tags=tags)) == made
    assert [entry.maker for entry in claims(Port("p", "x", mark("web", "0a"), tags=tags))] == [
        True,
        False,
    ]


def test_alone_one_goes_on() -> None:
    assert rival("aa", [claim("wants", "aa")], NOW) is None
    assert rival("aa", [], NOW) is None


def test_a_holder_goes_first_whatever_its_number() -> None:
    assert rival("aa", [claim("wants", "aa"), claim("holds", "ff")], NOW) == claim("holds", "ff")


@pytest.mark.parametrize("runs", list(itertools.permutations(["a1", "b2", "c3"])))
def test_of_those_that_want_exactly_one_goes_on(runs: tuple[str, ...]) -> None:
    present = [claim("wants", run) for run in runs]
    winners = [run for run in runs if rival(run, present, NOW) is None]
    assert winners == ["a1"]


@pytest.mark.parametrize(("maker", "guest"), [("a1", "b2"), ("b2", "a1")])
def test_the_maker_of_the_port_goes_before_one_that_found_it(maker: str, guest: str) -> None:
    present = [Claim("wants", maker, int(NOW), maker=True), claim("wants", guest)]
    assert rival(maker, present, NOW) is None
    assert rival(guest, present, NOW) == present[0]


def test_a_killed_run_is_forgotten() -> None:
    assert rival("bb", [claim("holds", "aa", STALE)], NOW) is None
    assert rival("bb", [claim("holds", "aa", STALE - 1)], NOW) is not None
    assert rival("bb", [claim("wants", "aa", STALE_WISH)], NOW) is None


def test_the_words_say_when_it_ends() -> None:
    error = busy("web", claim("holds", "aa", 20), NOW)
    assert error.exit_code == 9
    assert "Another deploy of 'web' is under way (last heard of 20 s ago)" in str(error)
    assert "ends in 100 s" in error.remedy and "--take-over" in error.remedy


def test_delete_sees_a_deploy_under_way() -> None:
    live = Port("p", "x", mark("web", "00"), tags=(claim("holds", "aa").tag,))
    other = Port("q", "x", mark("else", "00"), tags=(claim("holds", "bb").tag,))
    assert held_by_another("web", [live, other], NOW) == claim("holds", "aa")
    assert held_by_another("none", [live, other], NOW) is None
    assert held_by_another("web", [live], NOW + STALE) is None
