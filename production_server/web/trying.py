"""One request during a trial: answered by its version, counted, and copied to a shadow."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from production_server.errors import QueueError
from production_server.messaging.batches import Answer
from production_server.model.rollout import Mode
from production_server.web.copies import Copies
from production_server.web.current_model import Pinned, Trial
from production_server.web.rows import Rows

Ask = Callable[[Pinned, Rows, str], Awaitable[Answer]]

# Of the time that a request may take. After that, a second attempt would only take longer.
SOON = 0.5


class Trying:
    """Asks the version that was chosen, and the active one if a candidate fails."""

    def __init__(self, ask: Ask, copies: Callable[[], Copies], deadline: float) -> None:
        self._ask = ask
        self._copies = copies
        self._deadline = deadline

    async def __call__(
        self, active: Pinned, trial: Trial, chosen: Pinned, rows: Rows, request_id: str
    ) -> tuple[Pinned, Answer]:
        """The version that answered, and its answer."""
        began = time.perf_counter()
        takes_part = chosen.version in (active.version, trial.pinned.version)
        tally = trial.tally(chosen.version) if takes_part else None
        try:
            said = await self._ask(chosen, rows, request_id)
        except QueueError:
            if tally is not None:
                tally.failed()
            soon = time.perf_counter() - began < SOON * self._deadline
            if chosen is not trial.pinned or not soon or not same_rows(chosen, active):
                raise
            # Nobody asked for this candidate, so its failure is not the client's.
            return active, await self._ask(active, rows, request_id)
        if tally is not None:
            tally.answered(time.perf_counter() - began, said)
        if trial.candidate.mode is Mode.SHADOW and chosen is active:
            self._copies().send(trial, rows, said, request_id)
        return chosen, said


def same_rows(one: Pinned, other: Pinned) -> bool:
    """Whether rows that were checked for one version are good for the other, with all warnings."""
    return one.card.features == other.card.features
