"""Copies of requests for a shadow. Whatever becomes of them, the requests are not touched.

They have a connection of their own with one batch at a time, so a slow shadow does not take the
places of requests. One that keeps a worker busy for long gets the fewer copies for it. Copies
beyond a limit are dropped.
"""

from __future__ import annotations

import random
import time
from functools import partial

from production_server.messaging.batches import Answer, Ask, Outcome
from production_server.messaging.lane import Lane
from production_server.web.current_model import Trial
from production_server.web.rows import Rows

MOST_ON_THEIR_WAY = 64
# A large table is not copied, because the shadow would need as long for it as the active version.
MOST_ROWS = 256
# In seconds of a worker. After a batch that took longer, there are no copies for so many times as
# long: one slow shadow then takes a twentieth of a worker.
SLOW = 0.05
REST = 20.0


class Copies:
    """The copies of one web process, on its event loop."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._started = False
        self._on_their_way = 0
        self._rests_until = 0.0

    def stop(self) -> None:
        if self._started:
            self._lane.stop()

    def send(self, trial: Trial, rows: Rows, said: Answer, request_id: str) -> None:
        """Copy a request that was answered, if it is in the share."""
        if random.random() >= trial.candidate.share:
            return
        now = time.monotonic()
        if (
            self._on_their_way >= MOST_ON_THEIR_WAY
            or now < self._rests_until
            or rows.count > MOST_ROWS
        ):
            trial.candidate_tally.dropped()
            return
        if not self._started:
            self._started = True
            self._lane.start()
        self._on_their_way += 1
        done = partial(self._done, trial, said, time.perf_counter())
        until = now + self._lane.deadline
        version = trial.pinned.version
        self._lane.submit(Ask(version, rows.packed, rows.count, done, until, request_id))

    def _done(self, trial: Trial, said: Answer, began: float, outcome: Outcome) -> None:
        self._on_their_way -= 1
        tally = trial.candidate_tally
        if not isinstance(outcome, Answer):
            tally.failed()
            return
        tally.answered(time.perf_counter() - began, outcome)
        tally.compared(said, outcome)
        if outcome.seconds > SLOW:
            self._rests_until = time.monotonic() + REST * outcome.seconds
