"""Figures of the operations page as people read them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


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


def compared(versions: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Both versions of a trial side by side: a name, and a text for each version."""
    sides = list(versions.values())
    lines = [
        ("Requests", [f"{side['requests']:,}" for side in sides]),
        (
            "Failures",
            [share(side["failure_share"] if side["requests"] else None) for side in sides],
        ),
        ("Median latency", [took(side["seconds"]["median"]) for side in sides]),
        ("95% below", [took(side["seconds"]["p95"]) for side in sides]),
    ]
    for label in sides[0]["answers"].get("shares", {}) if sides else ():
        found = [share(side["answers"].get("shares", {}).get(label)) for side in sides]
        lines.append((f"Answered {label}", found))
    if sides and "mean" in sides[0]["answers"]:
        lines.append(("Mean answer", [plain(side["answers"].get("mean")) for side in sides]))
    if any(side["shadow"]["compared"] for side in sides):
        agreed = [
            share(side["shadow"]["agreed"] / side["shadow"]["compared"])
            if side["shadow"]["compared"]
            else "–"
            for side in sides
        ]
        lines.append(("Same answer", agreed))
    if any(side["outcomes"]["count"] for side in sides):
        known = [side["outcomes"] for side in sides]
        lines.append(("Known outcomes", [f"{one['count']:,}" for one in known]))
        if "accuracy" in known[0]:
            lines.append(("Came true", [share(one.get("accuracy")) for one in known]))
        else:
            errors = [plain(one.get("mean_absolute_error")) for one in known]
            lines.append(("Mean error", errors))
    return lines


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}" if 0 < value < 0.1 else f"{value:.1%}"


def plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
