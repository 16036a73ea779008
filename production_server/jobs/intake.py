"""Reads an uploaded body as it arrives and splits it into float32 chunks of equal size.

It holds one block of text and one or two chunks in memory, whatever the size of the body.
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

PIECE = 1 << 15
# RabbitMQ 4 refuses messages over 16 MiB. Smaller ones also keep it and the workers responsive.
CHUNK_BYTES = 4 << 20

Media = Literal["csv", "json"]


@dataclass(frozen=True)
class Limits:
    """The most rows and bytes of one upload, and the rows of a chunk."""

    rows: int
    body: int
    chunk_rows: int

    def chunk_of(self, card: Card) -> int:
        """Rows per chunk: the setting, or fewer if the model has very many features."""
        return max(1, min(self.chunk_rows, CHUNK_BYTES // (4 * len(card.features))))


class Body:
    """The bytes of a request, which are counted, limited and hashed while they are read."""

    def __init__(self, stream: BinaryIO, limit: int, *salt: str) -> None:
        self._stream = stream
        self._limit = limit
        self._hash = hashlib.sha256("\0".join(salt).encode() + b"\0")
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._stream.read(PIECE):
            self.size += len(piece)
            if self.size > self._limit:
                raise body_too_large(self._limit)
            self._hash.update(piece)
            yield piece

    def digest(self) -> str:
        """The hash of the bytes that were read, and of the salt, such as the media type."""
        return self._hash.hexdigest()


def body_too_large(limit: int) -> UploadTooLarge:
    return UploadTooLarge(
        "body_too_large",
        f"the body is larger than {limit} bytes",
        "Split the file, or ask the operator to raise STACKSERVE_MAX_BODY_BYTES.",
    )


def chunks(
    body: Body, media: Media, card: Card, limits: Limits, ledger: Ledger, *, ignore_unknown: bool
) -> Iterator[NDArray[np.float32]]:
    """Chunks of checked rows. Raises RowsRefused at the end if there were problems."""
    read = csv_tables if media == "csv" else json_tables
    size = limits.chunk_of(card)
    held: list[NDArray[np.float32]] = []
    waiting = rows = 0
    for table in read(iter(body), card, ledger, ignore_unknown=ignore_unknown):
        rows += len(table)
        if rows > limits.rows:
            raise UploadTooLarge(
                "too_many_rows",
                f"the upload has more than {limits.rows} rows",
                "Split the file, or ask the operator to raise STACKSERVE_MAX_JOB_ROWS.",
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
        ledger.problem("no_rows", 1, None, "the upload has no rows")
    if ledger.count:
        raise RowsRefused(ledger.count, ledger.errors(), ledger.unit)
    if waiting:
        yield np.concatenate(held)
