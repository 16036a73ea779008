"""Parallel queries: all results, the first error, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial

import pytest

from openstack_client.cloud.queries import PARALLEL_QUERIES, run_all
from openstack_client.errors import CloudError


def test_every_query_returns_its_result() -> None:
    names = [str(number) for number in range(3 * PARALLEL_QUERIES)]
    assert run_all({name: partial(int, name) for name in names}) == {n: int(n) for n in names}


def test_queries_run_in_parallel() -> None:
    meeting = threading.Barrier(PARALLEL_QUERIES, timeout=5)
    answers = run_all({str(n): meeting.wait for n in range(PARALLEL_QUERIES)})
    assert sorted(answers.values()) == list(range(PARALLEL_QUERIES))


def test_an_error_is_raised_after_all_have_finished() -> None:
    ended = []

    def fails() -> None:
        raise CloudError("no")

    def slow() -> None:
        time.sleep(0.2)
        ended.append(True)

    with pytest.raises(CloudError, match="no"):
        run_all({"fails": fails, "slow": slow})
    assert ended == [True]


def test_ctrl_c_does_not_wait_for_a_cloud_that_hangs() -> None:
    never = threading.Event()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_all({"hangs": lambda: never.wait(20)})
    assert time.monotonic() - began < 5
    never.set()
