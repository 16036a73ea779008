"""Steady requests in the background, to see whether any of them fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

CLIENTS = 5


@dataclass
class Steady:
    """What came back: answers, and what went wrong."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def wait_for(self, condition: Callable[[], object], timeout: float) -> None:
        """Wait for something while the requests go on, and a little longer."""
        until = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < until, f"it did not happen within {timeout:g} s"
            time.sleep(0.2)

    def more(self, count: int, timeout: float = 30) -> None:
        """Wait for as many more answers."""
        wanted = len(self.answers) + count
        self.wait_for(lambda: self.failures or len(self.answers) >= wanted, timeout)


@contextmanager
def steady(url: str, row: dict[str, float], rate: float, longest: float = 120) -> Iterator[Steady]:
    """Ask for predictions, `rate` a second, for `longest` seconds at most."""
    found = Steady()
    stop = threading.Event()
    ends = time.monotonic() + longest

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            due = time.monotonic()
            while not stop.is_set() and time.monotonic() < ends:
                try:
                    answer = client.post("/predict", json=row)
                    if answer.status_code == 200:
                        found.answers.append(answer.json())
                    else:
                        found.failures.append(f"{answer.status_code} {answer.text}")
                except httpx.HTTPError as error:
                    found.failures.append(repr(error))
                due += CLIENTS / rate
                stop.wait(max(0.0, due - time.monotonic()))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()
