"""Decide how many worker VMs a deployment should have, from its load so far. Pure.

Growing is quick and shrinking is slow: a minute of too much work adds worker VMs; ten minutes with
little to do remove one. One is removed only if the others would still be far from busy, so the
number settles under a steady load. After each change, whoever made it, the number stays for a
while, because new worker VMs change the load.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from openstack_client.plan.load import Load

# Users notice a second. Without load, a prediction takes milliseconds.
LONG_WAIT = 1.0
SHORT_WAIT = 0.25
BUSY = 0.85
# What the others may be busy after one is removed.
IDLE = 0.5
# A new worker VM takes minutes to join: it is of no use to jobs that end before.
LONG_JOBS = 300.0
SHORT_JOBS = 60.0
# So much more than the limit that one more would not be enough.
URGENT = 5
# Seconds.
GROW_AFTER = 45.0
SHRINK_AFTER = 600.0
COOL_DOWN = 180.0
LONGEST_REST = 3600.0
# Readings further apart say nothing about the time between them. Cron may run each five minutes.
GAP = 400.0


class Kind(StrEnum):
    HOLD = "hold"
    GROW = "grow"
    SHRINK = "shrink"
    REPAIR = "repair"
    LIMIT = "limit"
    """It would grow or shrink, but the number is at its limit."""
    WAIT = "wait"
    """Another run is changing the deployment."""
    RESPECT = "respect"
    """Somebody chose a number outside the limits."""


@dataclass(frozen=True)
class Limits:
    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"

    def clamp(self, count: int) -> int:
        return max(self.least, min(self.most, count))


@dataclass(frozen=True)
class Reading:
    """The number of worker VMs and their load at a moment."""

    at: float
    count: int
    load: Load


@dataclass(frozen=True)
class History:
    """What has been read so far, and who has changed the number."""

    readings: tuple[Reading, ...] = ()
    """Since the last change, and the last one in any case."""
    theirs: bool = False
    """Whether somebody else chose the present number."""
    changed_at: float | None = None
    failures: int = 0
    """Attempts to change the number that have failed since it was last changed."""
    repairs: int = 0
    """Repairs since all worker VMs were connected."""

    def seen(self, reading: Reading) -> History:
        """The history with one more reading."""
        before = self.readings[-1] if self.readings else None
        if before and before.count != reading.count:
            return History((reading,), True, reading.at)
        first = reading.at - SHRINK_AFTER - GAP
        kept = [old for old in self.readings if first <= old.at < reading.at]
        # A clock that was set back must not stop everything until then.
        changed = None if self.changed_at is None else min(self.changed_at, reading.at)
        repairs = 0 if reading.load.workers >= reading.count else self.repairs
        return replace(self, readings=(*kept, reading), changed_at=changed, repairs=repairs)

    def asked(self, count: int, at: float) -> History:
        """The history after autoscale has changed the number, or repaired what is there."""
        last = self.readings[-1]
        repairs = self.repairs + 1 if count == last.count else self.repairs
        # From now on, another number is somebody else's.
        return History((replace(last, count=count),), False, at, repairs=repairs)

    def failed(self, at: float) -> History:
        """The history after an attempt that failed. What it has left is nobody's choice."""
        return History((), False, at, self.failures + 1, self.repairs)

    def disturbed(self, at: float) -> History:
        """The history after somebody else has changed something."""
        return replace(self, readings=self.readings[-1:], changed_at=at)

    @property
    def rest(self) -> float:
        """How long the number stays after a change; longer after each failure."""
        return _longer_and_longer(self.failures)

    @property
    def rest_of_repairs(self) -> float:
        """How long nothing is repaired; longer after each repair that did not help."""
        return _longer_and_longer(max(self.failures, self.repairs - 1))

    @property
    def recent(self) -> Iterator[Reading]:
        """The readings since the last change, newest first, up to the first gap."""
        newest = self.readings[::-1]
        since = [each for each in newest if self.changed_at is None or each.at >= self.changed_at]
        yield from since[:1]
        for later, earlier in itertools.pairwise(since):
            if later.at - earlier.at > GAP:
                return
            yield earlier


def _longer_and_longer(times: int) -> float:
    return min(COOL_DOWN * 2.0 ** min(times, 10), LONGEST_REST)


@dataclass(frozen=True)
class Decision:
    kind: Kind
    count: int
    """The number of worker VMs to have."""
    reason: str

    @property
    def acts(self) -> bool:
        return self.kind in {Kind.GROW, Kind.SHRINK, Kind.REPAIR}


@dataclass(frozen=True)
class _Pressure:
    """Why there is too much to do."""

    reason: str = ""
    is_urgent: bool = False


def decide(history: History, limits: Limits, broken: Sequence[str] = ()) -> Decision:
    """How many worker VMs to have now, and why. `broken` says of which ones there is no use."""
    now = history.readings[-1]
    count, wanted = now.count, limits.clamp(now.count)
    rested = math.inf if history.changed_at is None else now.at - history.changed_at
    may_repair = rested >= history.rest_of_repairs
    if broken and may_repair:
        return Decision(Kind.REPAIR, count, "; ".join(broken))
    if wanted != count and history.theirs:
        what = f"somebody chose {count}, outside {limits}; it stays until somebody changes it"
        return Decision(Kind.RESPECT, count, what)
    if rested < history.rest:
        what = "the last attempt failed" if history.failures else "the number changed"
        return Decision(Kind.HOLD, count, f"{what} {rested:.0f} s ago")
    if wanted != count:
        kind = Kind.GROW if wanted > count else Kind.SHRINK
        return Decision(kind, wanted, f"{count} is outside {limits}")
    recent = list(history.recent)
    if may_repair and _all_of(recent, GROW_AFTER, _lacks_one):
        missing = count - now.load.workers
        return Decision(Kind.REPAIR, count, f"{missing} of {count} are not connected")
    return _by_load(recent, count, limits)


def _by_load(recent: Sequence[Reading], count: int, limits: Limits) -> Decision:
    load = recent[0].load
    if _pressure(load).reason:
        return _perhaps_grow(recent, count, limits)
    if count <= limits.least:
        return Decision(Kind.HOLD, count, f"{_described(load)}; no more than the least are needed")
    if not _is_idle(load, count):
        return Decision(Kind.HOLD, count, f"{_described(load)}: enough to do, and not too much")
    if not _all_of(recent, SHRINK_AFTER, lambda each: _is_idle(each.load, count)):
        return Decision(Kind.HOLD, count, f"{_described(load)}, but not idle for long enough")
    reason = f"{_described(load)}, little to do for {SHRINK_AFTER / 60:.0f} min"
    return Decision(Kind.SHRINK, count - 1, reason)


def _perhaps_grow(recent: Sequence[Reading], count: int, limits: Limits) -> Decision:
    pressure = _pressure(recent[0].load)
    if not _all_of(recent, GROW_AFTER, lambda each: bool(_pressure(each.load).reason)):
        return Decision(Kind.HOLD, count, f"{pressure.reason}, but not for long enough")
    if count >= limits.most:
        return Decision(Kind.LIMIT, count, f"{pressure.reason}, but {count} is the most")
    more = max(1, count // 2) if pressure.is_urgent else 1
    return Decision(Kind.GROW, min(count + more, limits.most), pressure.reason)


def _pressure(load: Load) -> _Pressure:
    """Why more worker VMs would help now; empty if they would not."""
    # Workers with little to do are not why predictions take long.
    are_busy = load.busy is None or load.busy >= IDLE
    if load.wait is not None and load.wait >= LONG_WAIT and are_busy:
        return _Pressure(f"predictions take {load.wait:.1f} s", load.wait >= URGENT * LONG_WAIT)
    if load.busy is None or load.busy < BUSY:
        return _Pressure()
    if not load.chunks:
        return _Pressure(f"workers are busy {load.busy:.0%} of the time")
    if load.jobs_seconds is None:
        return _Pressure(f"{load.chunks} chunks of jobs wait")
    if load.jobs_seconds < LONG_JOBS:
        return _Pressure()
    minutes = load.jobs_seconds / 60
    return _Pressure(f"jobs need {minutes:.0f} min more", load.jobs_seconds >= URGENT * LONG_JOBS)


def _is_idle(load: Load, count: int) -> bool:
    """Whether one fewer would still be enough. The front end counts as one more."""
    if load.wait is None or load.busy is None:
        return False
    others = load.busy * (count + 1) / count
    short_jobs = load.jobs_seconds is not None and load.jobs_seconds <= SHORT_JOBS
    return load.wait <= SHORT_WAIT and short_jobs and others <= IDLE


def _lacks_one(reading: Reading) -> bool:
    """Whether a worker VM is not connected. One that is in a long task is, and does not answer."""
    return reading.load.workers < reading.count and not reading.load.silent


def _all_of(recent: Sequence[Reading], seconds: float, holds: Callable[[Reading], bool]) -> bool:
    """Whether it has been so for this long, in two readings at least."""
    so_far = list(itertools.takewhile(holds, recent))
    return len(so_far) > 1 and so_far[0].at - so_far[-1].at >= seconds


def _described(load: Load) -> str:
    busy = "workers do not say how busy they are"
    if load.busy is not None:
        busy = f"workers are busy {load.busy:.0%} of the time"
    wait = "" if load.wait is None else f", predictions take {load.wait:.2f} s"
    return busy + wait
