"""Durations and moments of a deployment's time to live, as people write and read them. Pure."""

from __future__ import annotations

import datetime as dt
import re

DURATION = re.compile(r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?")
# The server asks once a minute whether it has expired. The longest guards against typing errors.
SHORTEST = dt.timedelta(minutes=3)
LONGEST = dt.timedelta(days=365)


def parse(text: str) -> dt.timedelta:
    """The duration of a text such as 90m, 8h, 3d or 1d12h. Raises ValueError."""
    found = DURATION.fullmatch(text.strip().lower())
    if not found or not any(found.groups()):
        raise ValueError("must be a duration such as 90m, 8h or 3d")
    # Six digits are more than the longest duration in minutes, and no overflow.
    if any(len(number or "") > 6 for number in found.groups()):
        raise ValueError("must be at most 365d")
    duration = dt.timedelta(
        **{unit: int(number or 0) for unit, number in found.groupdict().items()}
    )
    if not SHORTEST <= duration <= LONGEST:
        raise ValueError("must be at least 3m and at most 365d")
    return duration


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def written(moment: dt.datetime) -> str:
    """A moment as the metadata of a server has it."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str | None) -> dt.datetime | None:
    """A moment from metadata. Anything that is not one counts as none: then nothing expires."""
    try:
        moment = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def extended(expires: dt.datetime, by: dt.timedelta, moment: dt.datetime) -> dt.datetime:
    """What is left and `by`; after expiry, `by` from now."""
    return max(expires, moment) + by


def described(expires: dt.datetime | None, moment: dt.datetime) -> str | None:
    """How long a deployment still has, such as 'expires in 3 h 12 min'."""
    if expires is None:
        return None
    left = expires - moment
    return f"expires in {span(left)}" if left > dt.timedelta() else f"expired {span(-left)} ago"


def span(duration: dt.timedelta) -> str:
    """A duration in its two largest units."""
    minutes = int(duration.total_seconds() // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    shown = [f"{number} {unit}" for number, unit in parts[:2] if number or len(parts) == 1]
    return " ".join(shown)
