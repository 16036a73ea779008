"""What one client address may take of places that all clients share."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from production_server.web.shares import NoPlace, Places, origin_of


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("a-socket", "a-socket"),
        (None, ""),
    ],
)
def test_addresses_of_one_client_have_one_origin(address: str | None, origin: str) -> None:
    assert origin_of(address) == origin


def test_one_address_takes_half_of_the_places_and_gives_them_back() -> None:
    places = Places(4)
    with ExitStack() as held:
        for address in ("a", "a", "b"):
            held.enter_context(places.take(address))
        with pytest.raises(NoPlace) as refused, places.take("a"):
            pass
        assert (refused.value.taken, refused.value.by_address) == (2, True)
        held.enter_context(places.take("c"))
        with pytest.raises(NoPlace) as refused, places.take("d"):
            pass
        assert (refused.value.taken, refused.value.by_address) == (4, False)
    with ExitStack() as held:
        for address in ("a", "a", "b", "b"):
            held.enter_context(places.take(address))


def test_a_single_place_may_be_taken() -> None:
    with Places(1).take("a"):
        pass
