"""Lookup by name and id: found, unknown (suggests the nearest), ambiguous (lists the ids)."""

from __future__ import annotations

import pytest

from openstack_client.cloud.resources import Image
from openstack_client.errors import Problem
from openstack_client.names import listed, nearest, resolve

IMAGES = [
    Image("id-1", "Debian 12"),
    Image("id-2", "Ubuntu 24.04"),
    Image("id-3", "Debian 12 old"),
]


def test_lookup_by_name() -> None:
    assert resolve("image", "Debian 12", IMAGES) is IMAGES[0]


def test_lookup_by_id() -> None:
    assert resolve("image", "id-3", IMAGES) is IMAGES[2]


def test_an_id_wins_over_the_same_name() -> None:
    odd = [Image("a", "b"), Image("b", "a")]
    assert resolve("image", "b", odd) is odd[1]


def test_an_unknown_name_suggests_the_nearest_and_lists_all() -> None:
    problem = resolve("image", "debian12", IMAGES)
    assert isinstance(problem, Problem)
    assert "'debian12' not found" in problem.what
    assert problem.remedy == (
        "Did you mean 'Debian 12'? Available: Debian 12, Debian 12 old, Ubuntu 24.04."
    )


def test_an_ambiguous_name_lists_the_ids() -> None:
    problem = resolve("image", "x", [Image("2", "x"), Image("1", "x")])
    assert isinstance(problem, Problem)
    assert problem.what == "2 have the name 'x'."
    assert problem.remedy == "Use an id instead: 1, 2."


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        ("privat", ["private", "public"], "private"),
        ("small", ["m1.small.local", "m1.large"], "m1.small.local"),
        ("zzz", ["private", "public"], None),
        ("zzz", [], None),
    ],
)
def test_nearest(wanted: str, names: list[str], expected: str | None) -> None:
    assert nearest(wanted, names) == expected


def test_long_lists_are_cut() -> None:
    assert listed(f"n{number}" for number in range(12)).endswith("and 4 more")
    assert listed([]) == "none"
