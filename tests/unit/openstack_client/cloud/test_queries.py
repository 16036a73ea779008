"""Questions asked side by side: every answer, the first error, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial

import pytest

from openstack_client.cloud.queries import SIDE_BY_SIDE, all_at_once
from openstack_client.errors import CloudError


def test_every_question_is_answered() -> None:
    names = [str(number) for number in range(3 * SIDE_BY_SIDE)]
    assert all_at_once({name: partial(int, name) for name in names}) == {n: int(n) for n in names}


def test_they_are_asked_side_by_side() -> None:
    meeting = threading.Barrier(SIDE_BY_SIDE, timeout=5)
    answers = all_at_once({str(n): meeting.wait for n in range(SIDE_BY_SIDE)})
    assert sorted(answers.values()) == list(range(SIDE_BY_SIDE))


def test_an_error_is_raised_when_all_have_ended() -> None:
    ended = []

    def fails() -> None:
        raise CloudError("no")

    def slow() -> None:
        time.sleep(0.2)
        ended.append(True)

    with pytest.raises(CloudError, match="no"):
        all_at_once({"fails": fails, "slow": slow})
    assert ended == [True]


def test_ctrl_c_does_not_wait_for_a_cloud_that_hangs() -> None:
    never = threading.Event()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        all_at_once({"hangs": lambda: never.wait(20)})
    assert time.monotonic() - began < 5
    never.set()
