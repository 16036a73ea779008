"""Ctrl-C waits for the current request; a second one does not."""

from __future__ import annotations

import os
import signal

import pytest

from openstack_client.deploy.interrupts import Interrupts


def press(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_shield_it_stops_at_once(number: int) -> None:
    with Interrupts().installed(), pytest.raises(KeyboardInterrupt):
        press(number)


def test_with_a_shield_it_waits_and_says_so() -> None:
    said: list[str] = []
    reached = False
    interrupts = Interrupts(said.append)
    with interrupts.installed(), pytest.raises(KeyboardInterrupt), interrupts.shield():
        press()
        reached = True
    assert reached and "Stopping after this request" in said[0]


def test_nested_shields_end_together() -> None:
    interrupts = Interrupts()
    steps = []
    with interrupts.installed(), pytest.raises(KeyboardInterrupt), interrupts.shield():
        with interrupts.shield():
            press()
            steps.append("inner")
        steps.append("outer")
    assert steps == ["inner", "outer"]


def test_a_second_ctrl_c_does_not_wait() -> None:
    interrupts = Interrupts()
    with interrupts.installed(), pytest.raises(KeyboardInterrupt), interrupts.shield():
        press()
        press()
        pytest.fail("not reached")


def test_the_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts().installed():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
