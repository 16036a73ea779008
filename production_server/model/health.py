"""Whether a version on trial does as well as the active one, decided from counts alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from production_server.model.activations import Candidate, Mode

# Upper ends of the buckets of durations, in seconds: half a millisecond to 16 seconds. Each is a
# fifth longer than the one before, and within one, the numbers are taken as evenly spread.
EDGES = tuple(0.0005 * 1.2**step for step in range(58))

# Below this, chance decides.
ENOUGH_REQUESTS = 50
# A single failure can have any cause.
ENOUGH_FAILURES = 3
MORE_FAILURES = 0.01
# Times as long, and by so many seconds: what takes one millisecond may take two.
SLOWER = 2.0
SLOWER_BY = 0.025

Counts = Mapping[str, float]


class Verdict(StrEnum):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Health:
    """A verdict, and its reason in words."""

    verdict: Verdict
    why: str


def health(trial: Candidate, active: Counts, candidate: Counts) -> Health:
    """Compare the candidate with the active version: how often they fail, how long they take."""
    for version, counts in (("candidate", candidate), ("active version", active)):
        requests = counts.get("requests", 0)
        if requests < ENOUGH_REQUESTS:
            return Health(
                Verdict.UNDECIDED,
                f"the {version} has had {requests:.0f} requests, and {ENOUGH_REQUESTS} are needed",
            )
    failed, others_failed = failure_share(candidate), failure_share(active)
    if candidate.get("failures", 0) >= ENOUGH_FAILURES and failed > others_failed + MORE_FAILURES:
        return Health(
            Verdict.UNHEALTHY,
            f"{failed:.1%} of its requests fail, and {others_failed:.1%} of the active version's",
        )
    # A copy waits for others, so of a shadow only the time in the model counts.
    what = "inference" if trial.mode is Mode.SHADOW else "took"
    slow, others_slow = quantile(candidate, what, 0.95), quantile(active, what, 0.95)
    if None not in (slow, others_slow) and _slower(slow or 0, others_slow or 0):
        return Health(
            Verdict.UNHEALTHY,
            f"95% of its answers take up to {1000 * (slow or 0):.0f} ms, and of the active "
            f"version's up to {1000 * (others_slow or 0):.0f} ms",
        )
    return Health(Verdict.HEALTHY, "it fails no more often than the active version, and is as fast")


def _slower(seconds: float, than: float) -> bool:
    return seconds > SLOWER * than and seconds > than + SLOWER_BY


def failure_share(counts: Counts) -> float:
    requests = counts.get("requests", 0)
    return counts.get("failures", 0) / requests if requests else 0.0


def quantile(counts: Counts, what: str, share: float) -> float | None:
    """The duration that this share of the answers did not exceed; None without answers."""
    buckets = [counts.get(f"{what}:{number}", 0) for number in range(len(EDGES) + 1)]
    total = sum(buckets)
    if not total:
        return None
    wanted = share * total
    for number, reached in enumerate(accumulate(buckets)):
        if reached >= wanted:
            low = EDGES[number - 1] if number else 0.0
            high = EDGES[min(number, len(EDGES) - 1)]
            return low + (high - low) * (1 - (reached - wanted) / buckets[number])
    return EDGES[-1]


class Step(StrEnum):
    WAIT = "wait"
    PROMOTE = "promote"
    WITHDRAW = "withdraw"


def next_step(trial: Candidate, found: Health, now: float) -> tuple[Step, str]:
    """What to do about a trial without being asked, and why."""
    if trial.if_healthy and found.verdict is Verdict.UNHEALTHY:
        return Step.WITHDRAW, found.why
    if trial.promote_after is None or now < trial.since + trial.promote_after:
        return Step.WAIT, ""
    if not trial.if_healthy:
        return Step.PROMOTE, f"{trial.promote_after:g} s are over"
    if found.verdict is Verdict.HEALTHY:
        return Step.PROMOTE, f"{trial.promote_after:g} s are over, and {found.why}"
    return Step.WAIT, found.why
