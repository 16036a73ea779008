"""What web processes count of the versions in a trial, and how it gets into the jobs' database.

Counting happens in memory. A thread adds the new amounts to the database every few seconds, so they
are summed over all web processes, survive restarts, and can be read by every process.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from production_server.messaging.batches import Answer
from production_server.model.card import Card
from production_server.model.health import EDGES
from production_server.model.rollout import Candidate

log = logging.getLogger(__name__)

Add = Callable[[int, str, Mapping[str, float]], None]

EVERY = 1.0  # seconds
# The most rows of a request that are looked at: the event loop does this.
MOST_ROWS = 50
BINS = 10
# The trial before is kept for what was asked during it and is answered now.
KEPT = 4


class Tally:
    """What this process has counted of a version since it was last taken."""

    def __init__(self, card: Card) -> None:
        self._output = card.output
        self._counted: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def failed(self) -> None:
        with self._lock:
            self._counted["requests"] += 1
            self._counted["failures"] += 1

    def answered(self, seconds: float, said: Answer) -> None:
        output = self._output
        rows = said.part(0, MOST_ROWS).rows()
        with self._lock:
            counted = self._counted
            counted["requests"] += 1
            counted["seconds"] += seconds
            counted[f"took:{bisect_left(EDGES, seconds)}"] += 1
            counted[f"inference:{bisect_left(EDGES, said.seconds)}"] += 1
            counted["rows"] += len(rows)
            for outputs in rows:
                label = output.choose(outputs)
                value = output.position(outputs, label)
                counted[f"label:{label}"] += 1
                if output.probabilities:
                    counted[f"bin:{min(int(value * BINS), BINS - 1)}"] += 1
                else:
                    counted["sum"] += value
                    counted["squares"] += value * value

    def compared(self, said: Answer, copied: Answer) -> None:
        """Whether a shadow answered as the active version did."""
        choose = self._output.choose
        pairs = zip(said.part(0, MOST_ROWS).rows(), copied.part(0, MOST_ROWS).rows(), strict=True)
        same = [choose(one) == choose(other) for one, other in pairs]
        with self._lock:
            self._counted["compared"] += len(same)
            self._counted["agreed"] += sum(same)

    def dropped(self) -> None:
        """A request was not copied to the shadow, because too many copies were on their way."""
        with self._lock:
            self._counted["dropped"] += 1

    def take(self) -> Mapping[str, float]:
        with self._lock:
            taken, self._counted = self._counted, defaultdict(float)
        return taken

    def give_back(self, taken: Mapping[str, float]) -> None:
        with self._lock:
            for name, amount in taken.items():
                self._counted[name] += amount


class Tallies:
    """The tallies of one web process. `add` adds amounts to those in the database."""

    def __init__(self, add: Add) -> None:
        self._add = add
        self._open: dict[tuple[int, str], Tally] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tallies", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def of(self, trial: Candidate, card: Card) -> Tally:
        """The tally of a version in a trial."""
        found = self._open.setdefault((trial.number, card.version), Tally(card))
        for key in list(self._open)[:-KEPT]:
            self._write(*key, self._open.pop(key))
        return found

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            self.write()
        self.write()

    def write(self) -> None:
        for (trial, version), tally in list(self._open.items()):
            self._write(trial, version, tally)

    def _write(self, trial: int, version: str, tally: Tally) -> None:
        taken = tally.take()
        if not taken:
            return
        try:
            self._add(trial, version, taken)
        except SQLAlchemyError:
            log.warning("cannot write what was counted of %s; trying again", version)
            tally.give_back(taken)
