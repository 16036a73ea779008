"""Two deploys of one name: exactly one continues."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client.cloud import queries
from openstack_client.cloud.resources import Port
from openstack_client.deploy import lease
from openstack_client.deploy.lease import (
    STALE,
    STALE_REQUEST,
    Claim,
    Lease,
    TakenOver,
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
    written = [claim("wants", "0a"), claim("holds", "ff", 5)]
    tags = (*(entry.tag for entry in written), "other", "stackserve-wants-x-1")
    assert claims(Port("p", "x", mark("web", "0b"), tags=tags)) == written
    assert [
        entry.created_port for entry in claims(Port("p", "x", mark("web", "0a"), tags=tags))
    ] == [
        True,
        False,
    ]


def test_a_single_run_continues() -> None:
    assert rival("aa", [claim("wants", "aa")], NOW) is None
    assert rival("aa", [], NOW) is None


def test_the_holder_has_precedence() -> None:
    assert rival("aa", [claim("wants", "aa"), claim("holds", "ff")], NOW) == claim("holds", "ff")


@pytest.mark.parametrize("runs", list(itertools.permutations(["a1", "b2", "c3"])))
def test_exactly_one_of_several_requests_wins(runs: tuple[str, ...]) -> None:
    present = [claim("wants", run) for run in runs]
    winners = [run for run in runs if rival(run, present, NOW) is None]
    assert winners == ["a1"]


@pytest.mark.parametrize(("creator", "other"), [("a1", "b2"), ("b2", "a1")])
def test_the_run_that_created_the_port_wins(creator: str, other: str) -> None:
    present = [Claim("wants", creator, int(NOW), created_port=True), claim("wants", other)]
    assert rival(creator, present, NOW) is None
    assert rival(other, present, NOW) == present[0]


def test_the_lease_of_a_killed_run_expires() -> None:
    assert rival("bb", [claim("holds", "aa", STALE)], NOW) is None
    assert rival("bb", [claim("holds", "aa", STALE - 1)], NOW) is not None
    assert rival("bb", [claim("wants", "aa", STALE_REQUEST)], NOW) is None


def test_the_error_says_when_the_lease_expires() -> None:
    error = busy("web", claim("holds", "aa", 20), NOW)
    assert error.exit_code == 9
    assert "Another deploy of 'web' is running (last seen 20 s ago)" in str(error)
    assert "expires in 100 s" in error.remedy and "--take-over" in error.remedy


class OnePort:
    """A cloud with one port, whose tags are all that there is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tags: set[str] = set()
        self.connection = SimpleNamespace(network=self)
        monkeypatch.setattr(queries, "ports", lambda cloud: [self.port])

    @property
    def port(self) -> Port:
        return Port("p", "x", mark("web", "00"), tags=tuple(self.tags))

    def request(self, *what: Any, **how: Any) -> None:
        *_, last = what
        if callable(last):
            last()
        else:
            tag = what[0].rpartition("/")[2]
            (self.tags.add if last == "PUT" else self.tags.discard)(tag)


def test_a_run_stops_when_another_has_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud: Any = OnePort(monkeypatch)
    monkeypatch.setattr(lease, "RENEW", 0.0)
    first, second = (Lease(cloud, "web", run, lambda seconds: None) for run in ("aa", "bb"))
    for run in (first, second):
        run.request("p")
        run.acquire(take_over=run is second)
        run.renew()
    with pytest.raises(TakenOver, match="so this one stops"):
        first.renew()
    first.check()
    first.release()
    second.renew()
    assert [entry.run for entry in claims(cloud.port)] == ["bb"]
    second.release()
    assert cloud.tags == set()


def test_delete_sees_a_running_deploy() -> None:
    live = Port("p", "x", mark("web", "00"), tags=(claim("holds", "aa").tag,))
    other = Port("q", "x", mark("else", "00"), tags=(claim("holds", "bb").tag,))
    assert held_by_another("web", [live, other], NOW) == claim("holds", "aa")
    assert held_by_another("none", [live, other], NOW) is None
    assert held_by_another("web", [live], NOW + STALE) is None
