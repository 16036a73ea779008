"""extend: which word is the name, and which the duration."""

from __future__ import annotations

import datetime as dt

import pytest

from openstack_client.cli.extend import split
from openstack_client.errors import SettingsError

FOUR = dt.timedelta(hours=4)


@pytest.mark.parametrize(
    ("words", "never", "found"),
    [
        (("4h",), False, (None, FOUR)),
        (("course", "4h"), False, ("course", FOUR)),
        (("4h", "4h"), False, ("4h", FOUR)),
        ((), True, (None, None)),
        (("course",), True, ("course", None)),
    ],
)
def test_the_duration_comes_last(
    words: tuple[str, ...], never: bool, found: tuple[str | None, dt.timedelta | None]
) -> None:
    assert split(words, never) == found


@pytest.mark.parametrize(
    ("words", "never", "message"),
    [
        ((), False, "How much longer"),
        (("course",), False, "'course' must be a duration"),
        (("course", "1m"), False, "'1m' must be at least 3m"),
        (("a", "b", "4h"), False, "Too many arguments"),
        (("course", "4h"), True, "Too many arguments"),
    ],
)
def test_mistakes_name_what_was_expected(words: tuple[str, ...], never: bool, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        split(words, never)
    assert "extend [NAME] 4h" in error.value.remedy
