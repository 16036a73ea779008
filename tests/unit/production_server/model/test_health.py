"""When a candidate counts as healthy, and what happens then."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from production_server.model.health import (
    EDGES,
    Health,
    Step,
    Verdict,
    health,
    next_step,
    quantile,
)
from production_server.model.rollout import Candidate, Mode


def counts(
    requests: int = 200, failures: int = 0, seconds: float = 0.005, inference: float = 0.001
) -> dict[str, float]:
    answered = requests - failures
    return {
        "requests": requests,
        "failures": failures,
        f"took:{bisect_left(EDGES, seconds)}": answered,
        f"inference:{bisect_left(EDGES, inference)}": answered,
    }


def canary(**changes: object) -> Candidate:
    return Candidate.model_validate({"version": "toy-2", "share": 0.1, "since": 1000, **changes})


@pytest.mark.parametrize(
    ("active", "candidate", "verdict", "why"),
    [
        (counts(), counts(), Verdict.HEALTHY, "as fast"),
        (counts(), {}, Verdict.UNDECIDED, "the candidate has had 0 requests"),
        (counts(), counts(49), Verdict.UNDECIDED, "the candidate has had 49 requests"),
        (counts(10), counts(), Verdict.UNDECIDED, "the active version has had 10 requests"),
        (counts(), counts(200, 2), Verdict.HEALTHY, ""),
        (counts(), counts(200, 10), Verdict.UNHEALTHY, "5.0% of its requests fail, and 0.0%"),
        (counts(200, 10), counts(200, 11), Verdict.HEALTHY, ""),
        (counts(), counts(60, 60), Verdict.UNHEALTHY, "100.0% of its requests fail"),
        (counts(), counts(seconds=0.1), Verdict.UNHEALTHY, "95% of its answers take up to"),
        # Three times as long, but nobody notices.
        (counts(seconds=0.002), counts(seconds=0.006), Verdict.HEALTHY, ""),
        # A little longer than half a second is no cause for alarm.
        (counts(seconds=0.5), counts(seconds=0.6), Verdict.HEALTHY, ""),
    ],
)
def test_the_verdict(
    active: dict[str, float], candidate: dict[str, float], verdict: Verdict, why: str
) -> None:
    found = health(canary(), active, candidate)
    assert found.verdict is verdict
    assert why in found.why


def test_of_a_shadow_only_the_time_in_the_model_counts() -> None:
    shadow = canary(mode=Mode.SHADOW)
    waiting, slow = counts(seconds=2.0), counts(inference=0.2)
    assert health(shadow, counts(), waiting).verdict is Verdict.HEALTHY
    assert health(shadow, counts(), slow).verdict is Verdict.UNHEALTHY
    assert health(canary(), counts(), slow).verdict is Verdict.HEALTHY


@pytest.mark.parametrize("seconds", [0.0001, 0.0005, 0.003, 0.2, 9.0, 1000.0])
def test_a_quantile_is_within_its_bucket(seconds: float) -> None:
    found = quantile(counts(seconds=seconds), "took", 0.5)
    number = min(bisect_left(EDGES, seconds), len(EDGES) - 1)
    assert found is not None
    assert (EDGES[number - 1] if number else 0) <= found <= EDGES[number]
    assert quantile({}, "took", 0.5) is None


GOOD = Health(Verdict.HEALTHY, "fine")
BAD = Health(Verdict.UNHEALTHY, "it fails")
UNKNOWN = Health(Verdict.UNDECIDED, "too few")


@pytest.mark.parametrize(
    ("changes", "found", "now", "step"),
    [
        ({}, BAD, 9999, Step.WAIT),
        ({"if_healthy": True}, BAD, 1001, Step.WITHDRAW),
        ({"if_healthy": True}, GOOD, 9999, Step.WAIT),
        ({"promote_after": 60}, GOOD, 1059, Step.WAIT),
        ({"promote_after": 60}, BAD, 1060, Step.PROMOTE),
        ({"promote_after": 60, "if_healthy": True}, GOOD, 1059, Step.WAIT),
        ({"promote_after": 60, "if_healthy": True}, GOOD, 1060, Step.PROMOTE),
        ({"promote_after": 60, "if_healthy": True}, UNKNOWN, 9999, Step.WAIT),
        ({"promote_after": 60, "if_healthy": True}, BAD, 9999, Step.WITHDRAW),
    ],
)
def test_what_happens_by_itself(
    changes: dict[str, object], found: Health, now: float, step: Step
) -> None:
    assert next_step(canary(**changes), found, now)[0] is step
