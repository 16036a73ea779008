"""Several things at the same time: all end, and the first error counts."""

from __future__ import annotations

import threading

import pytest

from openstack_client.cloud.together import together
from openstack_client.deploy.interrupts import Interrupts


def test_all_run_at_the_same_time() -> None:
    meeting = threading.Barrier(4, timeout=10)

    def meet(number: int) -> int:
        meeting.wait()
        return number * 2

    assert together(meet, [1, 2, 3, 4]) == [2, 4, 6, 8]


def test_an_error_waits_for_the_others() -> None:
    failed, ended = threading.Event(), []

    def do(number: int) -> None:
        if number == 1:
            failed.set()
            raise ValueError(number)
        failed.wait(10)
        ended.append(number)

    with pytest.raises(ValueError, match="1"):
        together(do, [1, 2, 3])
    assert sorted(ended) == [2, 3]


def test_one_alone_needs_no_thread() -> None:
    assert together(lambda _: threading.current_thread(), [1]) == [threading.main_thread()]
    assert together(lambda _: None, []) == []


def test_a_shield_in_another_thread_leaves_signals_to_the_main_thread() -> None:
    """The main thread shields them all; an interrupt must not end one of them instead."""
    interrupts = Interrupts()
    interrupts.pending = True

    def shielded(_: int) -> int:
        with interrupts.shield():
            return interrupts.depth

    assert together(shielded, [1, 2]) == [0, 0]
    assert interrupts.pending
