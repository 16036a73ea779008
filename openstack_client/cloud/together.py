"""Do the same for several things at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool
from typing import TypeVar

Thing = TypeVar("Thing")
Outcome = TypeVar("Outcome")
Other = TypeVar("Other")


def together(do: Callable[[Thing], Outcome], things: Sequence[Thing]) -> list[Outcome]:
    """Call it for each of them in a thread of its own, and wait for all.

    If some fail, it raises the error of the first. Until then, the others end too, so that what
    they created can be found.
    """
    if len(things) < 2:
        return [do(thing) for thing in things]
    with ThreadPool(len(things)) as pool:
        results = [pool.apply_async(do, (thing,)) for thing in things]
        for result in results:
            result.wait()
        return [result.get() for result in results]


def both(one: Callable[[], Outcome], other: Callable[[], Other]) -> tuple[Outcome, Other]:
    """Call both at the same time, and wait for both, also if one of them fails."""
    with ThreadPool(1) as pool:
        first = pool.apply_async(one)
        try:
            second = other()
        finally:
            first.wait()
        return first.get(), second
