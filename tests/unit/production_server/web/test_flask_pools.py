"""Answers of Flask, made in threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from production_server.web.flask_pools import Stopping
from production_server.web.uploads import DISCONNECTED


def test_results_are_made_one_piece_at_a_time() -> None:
    """Each thread that runs takes its turn before the event loop gets the next one."""
    busy, most = 0, 0

    def pieces() -> Iterator[bytes]:
        nonlocal busy, most
        for _ in range(5):
            busy += 1
            most = max(most, busy)
            time.sleep(0.001)
            busy -= 1
            yield b"piece"

    turn = threading.Lock()
    with ThreadPoolExecutor(4) as threads:
        answers = [Stopping(pieces(), {}, turn) for _ in range(4)]
        made = list(threads.map(list, answers))
    assert made == [[b"piece"] * 5] * 4
    assert most == 1


def test_a_client_that_waits_for_its_next_piece_holds_up_nobody() -> None:
    turn = threading.Lock()
    slow, other = (iter(Stopping([b"1", b"2"], {}, turn)) for _ in range(2))
    assert next(slow) == b"1"
    assert list(other) == [b"1", b"2"]


def test_no_piece_is_made_for_a_client_that_is_gone() -> None:
    scope: dict[str, object] = {}
    pieces = iter(Stopping([b"1", b"2"], scope, nullcontext()))
    assert next(pieces) == b"1"
    scope[DISCONNECTED] = True
    assert list(pieces) == []
