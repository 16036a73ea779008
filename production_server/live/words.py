"""Figures of the operations page as people read them."""

from __future__ import annotations

import time


def rate(value: float) -> str:
    """A number per second: enough digits to see that it is not nothing."""
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def took(seconds: float | None) -> str:
    """A duration, with its unit."""
    if seconds is None:
        return "–"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def clock(when: float) -> str:
    """A time as people tell it, with its day unless that is today. In UTC, as the logs are."""
    at, now = time.gmtime(when), time.gmtime()
    return time.strftime("%H:%M:%S" if at[:3] == now[:3] else "%d %b, %H:%M", at)
