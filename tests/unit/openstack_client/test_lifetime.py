"""Durations and moments of a time to live, as people write and read them."""

from __future__ import annotations

import datetime as dt

import pytest

from openstack_client import lifetime
from openstack_client.errors import SettingsError
from openstack_client.settings import merge

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("3m", 3), ("90m", 90), ("8h", 480), ("3d", 4320), ("1d12h", 2160), (" 2H30M ", 150)],
)
def test_durations(text: str, minutes: int) -> None:
    assert lifetime.parse(text) == dt.timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "text",
    ["", "8", "h", "8 h", "-3h", "3h8d", "1.5h", "2m", "0h", "366d", "99999999999999d", "8hours"],
)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be "):
        lifetime.parse(text)


def test_the_setting_says_where_it_is_wrong() -> None:
    with pytest.raises(SettingsError, match=r"STACKSERVE_DEPLOY_TTL: must be a duration"):
        merge({}, {"STACKSERVE_DEPLOY_TTL": "soon"}, None)
    assert merge({"ttl": "8H"}, {}, None)[0].ttl == "8h"
    assert merge({}, {"STACKSERVE_DEPLOY_TTL": ""}, None)[0].ttl is None


def test_moments_are_read_back() -> None:
    assert lifetime.written(NOW) == "2026-03-01T12:00:00Z"
    assert lifetime.read(lifetime.written(NOW)) == NOW
    assert lifetime.read("2026-03-01T12:00:00") == NOW
    assert lifetime.read("2026-03-01T14:00:00+02:00") == NOW
    assert lifetime.read(None) is lifetime.read("") is lifetime.read("soon") is None


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [
        (192, "expires in 3 h 12 min"),
        (180, "expires in 3 h"),
        (0.5, "expires in 0 min"),
        (3 * 1440 + 65, "expires in 3 d 1 h"),
        (1440 + 5, "expires in 1 d"),
        (0, "expired 0 min ago"),
        (-10, "expired 10 min ago"),
        (-150, "expired 2 h 30 min ago"),
    ],
)
def test_what_is_left(minutes: float, shown: str) -> None:
    assert lifetime.described(NOW + dt.timedelta(minutes=minutes), NOW) == shown


def test_nothing_is_left_to_say_of_what_never_expires() -> None:
    assert lifetime.described(None, NOW) is None


def test_extending_adds_to_what_is_left_but_not_to_the_past() -> None:
    hour = dt.timedelta(hours=1)
    assert lifetime.extended(NOW + hour, 4 * hour, NOW) == NOW + 5 * hour
    assert lifetime.extended(NOW - hour, 4 * hour, NOW) == NOW + 4 * hour
