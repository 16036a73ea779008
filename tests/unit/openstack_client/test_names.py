"""Names and ids: found, unknown with the nearest, ambiguous with the ids."""

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


def test_a_name_finds_its_thing() -> None:
    assert resolve("image", "Debian 12", IMAGES) is IMAGES[0]


def test_an_id_finds_its_thing() -> None:
    assert resolve("image", "id-3", IMAGES) is IMAGES[2]


def test_an_id_wins_over_a_thing_of_that_name() -> None:
    odd = [Image("a", "b"), Image("b", "a")]
    assert resolve("image", "b", odd) is odd[1]


def test_an_unknown_name_gives_the_nearest_and_the_list() -> None:
    problem = resolve("image", "debian12", IMAGES)
    assert isinstance(problem, Problem)
    assert "no 'debian12'" in problem.what
    assert problem.remedy == (
        "Did you mean 'Debian 12'? There is: Debian 12, Debian 12 old, Ubuntu 24.04."
    )


def test_a_name_held_twice_lists_the_ids() -> None:
    problem = resolve("image", "x", [Image("2", "x"), Image("1", "x")])
    assert isinstance(problem, Problem)
    assert problem.what == "2 are called 'x'."
    assert problem.remedy == "Give one id instead: 1, 2."


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
