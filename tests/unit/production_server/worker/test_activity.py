"""What a worker says about its own work, over the last ten seconds."""

from __future__ import annotations

import pytest

from production_server.messaging.activity import WorkerActivity
from production_server.worker.activity import Activity


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def activity(clock: Clock) -> Activity:
    return Activity(clock)


def said(activity: Activity, clock: Clock, at: float) -> tuple[int, float, float, float]:
    clock.now = at
    now = activity.now()
    return now.tasks, now.tasks_per_second, now.chunks_per_second, now.busy


def test_a_process_without_tasks(activity: Activity, clock: Clock) -> None:
    assert activity.now() == WorkerActivity([], 0, 0.0, 0.0, 0.0)


def test_short_tasks_of_the_last_seconds(activity: Activity, clock: Clock) -> None:
    for second in range(1000, 1030):
        activity.add(second + 0.2, second + 0.3, chunk=False)
        activity.add(second + 0.5, second + 0.9, chunk=True)
    assert said(activity, clock, 1030.0) == (60, 2.0, 1.0, 0.5)
    assert said(activity, clock, 1035.5) == (60, 1.0, 0.5, 0.25)
    assert said(activity, clock, 1050.0) == (60, 0.0, 0.0, 0.0)


def test_a_long_task_counts_for_each_second_that_it_took(activity: Activity, clock: Clock) -> None:
    activity.add(1002.5, 1011.5, chunk=True)
    assert said(activity, clock, 1012.0) == (1, 0.1, 0.1, 0.9)
    assert said(activity, clock, 1017.0) == (1, 0.1, 0.1, 0.45)
    activity.add(1020.0, 1100.0, chunk=True)
    assert said(activity, clock, 1100.0)[3] == 1.0


def test_the_first_seconds_are_an_average_too(activity: Activity, clock: Clock) -> None:
    activity.add(1000.0, 1001.0, chunk=False)
    assert said(activity, clock, 1002.0) == (1, 0.5, 0.0, 0.5)


def test_a_task_that_fails_counts(activity: Activity, clock: Clock) -> None:
    def fail() -> None:
        clock.now += 0.5
        raise ValueError

    with pytest.raises(ValueError):
        activity.measured(fail, chunk=True)()
    assert said(activity, clock, 1001.0) == (1, 1.0, 1.0, 0.5)
