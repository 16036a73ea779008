"""How many worker VMs to have: when to grow, to shrink, to wait, and to leave alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstack_client.plan.autoscale import (
    COOL_DOWN,
    GAP,
    GROW_AFTER,
    SHRINK_AFTER,
    Decision,
    History,
    Kind,
    Limits,
    Reading,
    decide,
)
from openstack_client.plan.load import Load, parse

LIMITS = Limits(0, 8)
QUIET = Load(wait=0.01, busy=0.02)
SLOW = Load(wait=2.0, busy=0.95)
FAIR = Load(wait=0.05, busy=0.6)


def load(base: Load, count: int) -> Load:
    """The same load, of which all worker VMs say that they are there."""
    return Load(base.wait, base.busy, base.chunks, base.jobs_seconds, count)


def after(
    seconds: float, base: Load, count: int = 2, every: float = 15.0, history: History | None = None
) -> History:
    """A history that goes on with this load for so long."""
    history = history or History()
    start = history.readings[-1].at if history.readings else 0.0
    for step in range(int(seconds / every) + 1):
        history = history.seen(Reading(start + step * every, count, load(base, count)))
    return history


def on(base: Load, seconds: float = 3600, count: int = 2, limits: Limits = LIMITS) -> Decision:
    return decide(after(seconds, base, count), limits)


def test_slow_predictions_add_one() -> None:
    decision = on(SLOW, GROW_AFTER)
    assert (decision.kind, decision.count) == (Kind.GROW, 3)
    assert decision.reason == "predictions take 2.0 s"


def test_one_reading_decides_nothing() -> None:
    assert on(SLOW, 0).kind is Kind.HOLD
    assert on(SLOW, GROW_AFTER - 15).reason == "predictions take 2.0 s, but not for long enough"
    assert on(QUIET, SHRINK_AFTER - 15).kind is Kind.HOLD


def test_a_short_pause_begins_anew() -> None:
    history = after(30, SLOW, history=after(0, FAIR, history=after(600, SLOW)))
    assert decide(history, LIMITS).kind is Kind.GROW
    history = after(30, FAIR, history=after(600, SLOW))
    assert decide(after(15, SLOW, history=history), LIMITS).kind is Kind.HOLD


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (Load(0.02, 0.9), "workers are busy 90% of the time"),
        (Load(0.02, 1.0, 500, 600.0), "jobs need 10 min more"),
        (Load(None, 1.0, 500, None), "500 chunks of jobs wait"),
        (Load(1.5, None), "predictions take 1.5 s"),
    ],
)
def test_what_else_makes_it_grow(base: Load, reason: str) -> None:
    decision = on(base, 60)
    assert (decision.kind, decision.count, decision.reason) == (Kind.GROW, 3, reason)


@pytest.mark.parametrize(
    "base",
    [
        # Done before a new worker VM has joined.
        Load(0.02, 1.0, 20, 90.0),
        # More workers would not help.
        Load(3.0, 0.1),
        FAIR,
        # Nothing is known.
        Load(None, None, 3, None),
    ],
)
def test_what_changes_nothing(base: Load) -> None:
    assert on(base).kind is Kind.HOLD


@pytest.mark.parametrize(("count", "to"), [(0, 1), (1, 2), (2, 3), (4, 6), (7, 8)])
def test_much_too_much_adds_half_as_many(count: int, to: int) -> None:
    assert on(Load(6.0, 1.0), 60, count).count == to
    assert on(Load(0.1, 1.0, 9000, 3600.0), 60, count).count == to


def test_little_to_do_removes_one_at_a_time() -> None:
    decision = on(QUIET, SHRINK_AFTER)
    assert (decision.kind, decision.count) == (Kind.SHRINK, 1)
    assert decision.reason.endswith("little to do for 10 min")


def test_none_is_removed_if_the_others_would_be_busy() -> None:
    """One of three stands for a third of the work: the front end does its share too."""
    assert on(Load(0.01, 0.33)).kind is Kind.SHRINK
    assert on(Load(0.01, 0.34)).kind is Kind.HOLD


def test_nobody_is_removed_in_a_long_job() -> None:
    assert on(Load(0.01, 0.1, 100, 200.0)).kind is Kind.HOLD
    assert on(Load(0.01, 0.1, 100, None)).kind is Kind.HOLD
    assert on(Load(0.01, 0.1, 2, 1.0)).kind is Kind.SHRINK


def test_limits() -> None:
    decision = on(SLOW, limits=Limits(0, 2))
    assert (decision.kind, decision.count) == (Kind.LIMIT, 2)
    assert decision.reason == "predictions take 2.0 s, but 2 is the most"
    assert on(QUIET, limits=Limits(2, 4)).reason.endswith("; no more than the least are needed")
    assert on(QUIET, count=0).kind is Kind.HOLD


@pytest.mark.parametrize(("count", "to"), [(1, 2), (5, 4)])
def test_it_begins_within_the_limits(count: int, to: int) -> None:
    decision = on(FAIR, 0, count, Limits(2, 4))
    assert decision.acts and decision.count == to


# Somebody else


def test_a_number_that_somebody_else_chose_is_left_alone_for_a_while() -> None:
    history = after(COOL_DOWN - 15, SLOW, 4, history=after(3600, SLOW, 2))
    assert decide(history, LIMITS).reason == "the number changed 165 s ago"
    assert decide(after(15, SLOW, 4, history=history), LIMITS).kind is Kind.GROW


@pytest.mark.parametrize("chosen", [0, 7])
def test_a_number_outside_the_limits_stays_if_somebody_else_chose_it(chosen: int) -> None:
    limits, before = Limits(1, 4), after(600, FAIR, 2)
    for seconds in (0, COOL_DOWN, 4000):
        decision = decide(after(seconds, SLOW, chosen, history=before), limits)
        assert (decision.kind, decision.count) == (Kind.RESPECT, chosen)
        assert f"somebody chose {chosen}, outside 1 to 4" in decision.reason


def test_what_it_asked_for_is_not_somebody_elses() -> None:
    asked = after(600, FAIR, 0).asked(6, 700)
    decision = decide(after(4000, SLOW, 6, history=asked), Limits(1, 4))
    assert (decision.kind, decision.count) == (Kind.SHRINK, 4)


def test_somebody_who_undoes_its_change_is_somebody_else() -> None:
    history = after(600, SLOW, 2).asked(3, 600.0).seen(Reading(615.0, 2, load(SLOW, 2)))
    assert history.theirs and history.changed_at == 615.0
    assert decide(history, Limits(3, 4)).kind is Kind.RESPECT


# Repairs


def test_what_is_broken_is_repaired_first() -> None:
    decision = decide(after(600, SLOW), LIMITS, ["worker-2 is in ERROR"])
    assert (decision.kind, decision.count) == (Kind.REPAIR, 2)
    assert decision.reason == "worker-2 is in ERROR"


def test_repairs_are_not_repeated_at_once() -> None:
    history = after(600, FAIR).asked(2, 600)
    assert decide(after(60, FAIR, history=history), LIMITS, ["x"]).kind is Kind.HOLD
    assert decide(after(COOL_DOWN, FAIR, history=history), LIMITS, ["x"]).kind is Kind.REPAIR


@pytest.mark.parametrize(
    ("silent", "kind", "reason"),
    [
        (0, Kind.REPAIR, "1 of 2 are not connected"),
        # It may be in a long task.
        (1, Kind.HOLD, "workers are busy 60% of the time, predictions take 0.01 s: "),
    ],
)
def test_one_that_is_not_connected_is_repaired(silent: int, kind: Kind, reason: str) -> None:
    history = History()
    for at in (0.0, 30.0, 60.0):
        history = history.seen(Reading(at, 2, Load(0.01, 0.6, workers=1, silent=silent)))
    decision = decide(history, LIMITS)
    assert decision.kind is kind and decision.reason.startswith(reason)


def test_repairs_that_do_not_help_become_rare_and_do_not_keep_it_from_growing() -> None:
    history, repaired, grown = History(), [], 0
    for at in range(0, 4 * 3600, 30):
        history = history.seen(Reading(float(at), 2, Load(0.01, 0.6, workers=1)))
        if decide(history, LIMITS).kind is Kind.REPAIR:
            repaired.append(at)
            history = history.asked(2, at)
    pauses = [later - earlier for earlier, later in itertools.pairwise(repaired)]
    assert pauses[:4] == [180, 360, 720, 1440] and pauses[-1] >= 3600
    for at in range(4 * 3600, 4 * 3600 + 120, 30):
        history = history.seen(Reading(float(at), 2, Load(2.0, 0.9, workers=1)))
        grown += decide(history, LIMITS).kind is Kind.GROW
    assert grown
    assert history.seen(Reading(4 * 3600 + 200.0, 2, load(FAIR, 2))).repairs == 0


# Time


def test_cron_each_five_minutes_is_often_enough_and_each_hour_is_not() -> None:
    assert decide(after(300, SLOW, every=300), LIMITS).kind is Kind.GROW
    assert decide(after(900, QUIET, every=300), LIMITS).kind is Kind.SHRINK
    assert decide(after(7200, SLOW, every=GAP + 1), LIMITS).kind is Kind.HOLD


def test_a_clock_that_was_set_back_forgets_what_is_later() -> None:
    history = after(60, SLOW, history=after(0, FAIR).asked(2, 3600))
    assert decide(history, LIMITS).kind is Kind.HOLD
    assert decide(after(COOL_DOWN, SLOW, history=history), LIMITS).kind is Kind.GROW


def test_the_history_stays_short() -> None:
    assert len(after(86_400, FAIR).readings) < (SHRINK_AFTER + GAP) / 15 + 2


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 12),
    st.integers(0, 10),
    st.integers(0, 4),
    st.integers(4, 10),
    st.sampled_from([30.0, 60.0, 300.0]),
)
def test_under_a_steady_load_the_number_settles(
    work: float, start: int, least: int, most: int, every: float
) -> None:
    """`work` is how many machines it keeps busy; the front end is one of them."""
    limits, history, count, changes = Limits(least, most), History(), start, [start]
    for step in range(int(4 * 3600 / every)):
        at = step * every
        busy = min(1.0, work / (count + 1))
        base = Load(0.01 if work < count + 1 else 30.0, busy)
        history = history.seen(Reading(at, count, load(base, count)))
        decision = decide(history, limits)
        assert decision.acts == (decision.count != count)
        if decision.acts:
            assert abs(decision.count - count) <= max(1, count // 2, len(changes) == 1 and 10)
            assert least <= decision.count <= most
            count = decision.count
            changes.append(count)
            history = history.asked(count, at)
    assert turns(changes[1:]) <= 1
    enough = work / (count + 1) < 1
    assert enough or count == most


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([QUIET, SLOW, FAIR]), st.integers(0, 6)), max_size=8))
def test_it_never_fights_somebody_else(phases: list[tuple[Load, int]]) -> None:
    """In each phase, somebody chooses a number, and the load stays the same for a while."""
    limits, history, count, at, chosen_at = Limits(1, 4), History(), 2, 0.0, -math.inf
    for base, chosen in phases:
        if chosen != count:
            count, chosen_at = chosen, at
        theirs = chosen_at == at and at > 0
        for _ in range(25):
            history = history.seen(Reading(at, count, load(base, count)))
            decision = decide(history, limits)
            if decision.acts:
                assert not theirs or (at - chosen_at >= COOL_DOWN and 1 <= chosen <= 4)
                assert 1 <= decision.count <= 4
                count = decision.count
                history = history.asked(count, at)
            at += 30.0


def turns(numbers: Sequence[int]) -> int:
    """How often the direction changes."""
    signs = [math.copysign(1, b - a) for a, b in itertools.pairwise(numbers)]
    return sum(a != b for a, b in itertools.pairwise(signs))


# Figures


def test_figures_are_read_from_json() -> None:
    text = (
        b'{"ready": {"predict": 0, "jobs": 12}, "wait_seconds": 0.0041, "busy": 0.83,'
        b' "workers": 2, "processes": 6, "silent": 0, "chunks": 140, "chunks_per_second": 21.5,'
        b' "jobs_seconds": 6.5, "more": "?"}'
    )
    assert parse(text) == Load(0.0041, 0.83, 140, 6.5, 2)
    unknown = b'{"wait_seconds": null, "busy": null, "chunks": 1, "jobs_seconds": null, '
    assert parse(unknown + b'"workers": 0, "silent": 0}') == Load(None, None, 1, None, 0)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"7", b'{"wait_seconds": "long"}', b"error"])
def test_other_texts_are_no_figures(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse(text)
