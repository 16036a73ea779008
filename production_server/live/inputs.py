"""Counts a sample of the inputs in bins, away from the requests that brought them.

A request only leaves a reference to its packed rows, and only the first ones of each second do. No
value is kept for longer than that second: what stays are counts.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from struct import iter_unpack

from production_server.live.bins import Bins, bins_of
from production_server.model.card import Card

log = logging.getLogger(__name__)

SECONDS = 1.0
# Of each second, in one process.
MOST_REQUESTS = 50
# Of each request, spread over it.
MOST_ROWS = 10
# When so many rows are counted, all counts are halved: the older half of them fades away.
FADING = 10_000

Report = Callable[[str, int, float], None]


class Inputs:
    """The inputs of one process. Everything happens on the event loop."""

    def __init__(self, card: Callable[[], Card], report: Report) -> None:
        """`card` is that of the version that most requests go to.

        `report` gets a feature's name, the number of a bin, and the rows in it.
        """
        self._current = card
        self._report = report
        self._kept: list[tuple[Card, bytes]] = []
        self._made: tuple[Card, list[Bins]] | None = None
        self._card: Card | None = None
        self.bins: list[Bins] = []
        self._counts: list[list[float]] = []

    def bins_for(self, card: Card) -> list[Bins]:
        """The bins of a card; they are made once."""
        made = self._made
        if made is None or made[0] is not card:
            self._made = made = card, bins_of(card)
        return made[1]

    def add(self, card: Card, packed: bytes, count: int) -> None:
        """Called for each request, so it does next to nothing."""
        kept = self._kept
        if len(kept) < MOST_REQUESTS:
            if not kept:
                asyncio.get_running_loop().call_later(SECONDS, self.count)
            kept.append((card, packed if count == 1 else some_of(packed, count)))

    def count(self) -> None:
        """Count what has been kept, and forget it."""
        kept, self._kept = self._kept, []
        try:
            current = self._current()
            self._follow(current)
            for card, packed in kept:
                # A version on trial has the same features.
                if card is current or card.feature_names == current.feature_names:
                    self._count(packed)
            self._fade()
            self._tell(self._counts)
        except Exception:  # this must never matter to a prediction
            log.exception("the inputs cannot be counted")

    def _follow(self, card: Card) -> None:
        """Begin again with another version: its training data may be other."""
        if card is self._card:
            return
        self._tell([[0.0] * len(counts) for counts in self._counts])
        self._card, self.bins = card, self.bins_for(card)
        self._counts = [[0.0] * len(bins.expected) for bins in self.bins]

    def _count(self, packed: bytes) -> None:
        if not self.bins:
            return
        for row in iter_unpack(f"<{len(self.bins)}f", packed):
            for bins, counts, value in zip(self.bins, self._counts, row, strict=True):
                counts[bin_of(bins, value)] += 1

    def _fade(self) -> None:
        if self._counts and sum(self._counts[0]) > FADING:
            self._counts = [[count / 2 for count in counts] for counts in self._counts]

    def _tell(self, counts: Sequence[Sequence[float]]) -> None:
        for bins, found in zip(self.bins, counts, strict=True):
            for number, count in enumerate(found):
                self._report(bins.name, number, count)


def bin_of(bins: Bins, value: float) -> int:
    """The number of the bin that a value is in."""
    if bins.missing:
        return 0 if value == 0 else 1 + bisect_left(bins.edges, value)
    return bisect_left(bins.edges, value)


def some_of(packed: bytes, count: int) -> bytes:
    """Some rows of a request, spread over it: a large table may be sorted."""
    if count <= MOST_ROWS:
        return packed
    width, step = len(packed) // count, count // MOST_ROWS
    starts = range(0, MOST_ROWS * step * width, step * width)
    return b"".join([packed[start : start + width] for start in starts])
