"""STORE: what is accepted, and the names of objects in it."""

from __future__ import annotations

import pytest

from openstack_client.artifacts.place import Place, parse
from openstack_client.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "place", "key"),
    [
        ("swift:models", Place("swift", "models"), "a"),
        ("s3:course/2026/", Place("s3", "course", "2026"), "2026/a"),
        ("s3:course/x/y", Place("s3", "course", "x/y"), "x/y/a"),
    ],
)
def test_a_store_is_read(text: str, place: Place, key: str) -> None:
    assert parse(text) == place
    assert place.key("a") == key
    assert parse(str(place)) == place


@pytest.mark.parametrize(
    "text",
    ["models", "swift:", "s3:/x", "http://x/y", "gs:models", "s3:a b", "s3:a/../b", "s3:a//b//c"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse(text)
