"""An uploaded body, read once as it arrives, to float32 chunks of equal size.

Memory holds a block of text and a chunk or two of numbers, whatever the size of the body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from production_server.errors import RowsRefused, UploadTooLarge
from production_server.jobs.csv_rows import csv_tables
from production_server.jobs.json_rows import json_tables
from production_server.jobs.ledger import Ledger
from production_server.model.card import Card

PIECE = 1 << 16
# RabbitMQ refuses messages over 16 MiB (4.x), and small ones keep it and the workers nimble.
CHUNK_BYTES = 4 << 20

Media = Literal["csv", "json"]


@dataclass(frozen=True)
class Limits:
    """How much one upload may hold, and how it is cut."""

    rows: int
    body: int
    chunk_rows: int

    def chunk_of(self, card: Card) -> int:
        """Rows in a chunk: the setting, or fewer for a model with very many features."""
        return max(1, min(self.chunk_rows, CHUNK_BYTES // (4 * len(card.features))))


class Body:
    """The bytes of a request: counted, limited and hashed on the way."""

    def __init__(self, stream: BinaryIO, limit: int, *salt: str) -> None:
        self._stream = stream
        self._limit = limit
        self._hash = hashlib.sha256("\0".join(salt).encode() + b"\0")
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._stream.read(PIECE):
            self.size += len(piece)
            if self.size > self._limit:
                raise UploadTooLarge(
                    "body_too_large",
                    f"the body is larger than {self._limit} bytes",
                    "Split the file, or have STACKSERVE_MAX_BODY_BYTES raised.",
                )
            self._hash.update(piece)
            yield piece

    def digest(self) -> str:
        """Of all that was read; the salt tells apart the same bytes meant otherwise."""
        return self._hash.hexdigest()


def chunks(
    body: Body, media: Media, card: Card, limits: Limits, ledger: Ledger, *, ignore_unknown: bool
) -> Iterator[NDArray[np.float32]]:
    """Chunks of checked rows; ends with RowsRefused when anything was found wrong."""
    read = csv_tables if media == "csv" else json_tables
    size = limits.chunk_of(card)
    held: list[NDArray[np.float32]] = []
    waiting = rows = 0
    for table in read(iter(body), card, ledger, ignore_unknown=ignore_unknown):
        rows += len(table)
        if rows > limits.rows:
            raise UploadTooLarge(
                "too_many_rows",
                f"more than {limits.rows} rows",
                "Split the file, or have STACKSERVE_MAX_JOB_ROWS raised.",
            )
        if ledger.full:
            break
        if ledger.count:
            held.clear()
            continue
        held.append(table.astype("<f4"))
        waiting += len(table)
        if waiting >= size:
            joined = np.concatenate(held)
            whole = waiting - waiting % size
            for start in range(0, whole, size):
                yield joined[start : start + size]
            held, waiting = [joined[whole:].copy()], waiting - whole
    if not rows and not ledger.count:
        ledger.problem("no_rows", 1, None, "there is no row of numbers")
    if ledger.count:
        raise RowsRefused(ledger.count, ledger.errors(), ledger.unit)
    if waiting:
        yield np.concatenate(held)
