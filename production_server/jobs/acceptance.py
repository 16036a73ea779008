"""From an upload to an accepted job: the whole upload or nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from production_server.jobs.intake import Body, Limits, Media, chunks
from production_server.jobs.ledger import Ledger
from production_server.jobs.records import Job, Receipt, same_body
from production_server.jobs.store import Store
from production_server.model.card import Card


@dataclass(frozen=True)
class Upload:
    """A request to create a job."""

    body: Body
    media: Media
    key: str | None = None
    owner: str | None = None
    ignore_unknown: bool = False
    request_id: str | None = None


def accept(store: Store, upload: Upload, card: Card, limits: Limits, most: int) -> Job:
    """The job made from an upload, or the earlier job with the same Idempotency-Key.

    Chunks are staged in a hidden job while the body arrives. If anything goes wrong (bad rows, a
    lost connection), the staged job is deleted; if this process dies, the recorder deletes it.
    """
    known = store.with_key(upload.key)
    if known is not None:
        for _ in upload.body:
            pass
        return same_body(known, upload.body.digest())
    store.check_room(most)
    store.check_space()
    ledger = Ledger("line" if upload.media == "csv" else "row", card)
    job = ""
    accepted = False
    rows = number = 0
    try:
        for chunk in chunks(
            upload.body, upload.media, card, limits, ledger, ignore_unknown=upload.ignore_unknown
        ):
            job = job or store.begin(card.version, answer_of(card), upload.owner, upload.request_id)
            store.check_space()
            store.stage(job, number, len(chunk), chunk.tobytes())
            number += 1
            rows += len(chunk)
        receipt = Receipt(
            rows=rows,
            chunks=number,
            idempotency_key=upload.key,
            body_hash=upload.body.digest(),
            body_bytes=upload.body.size,
            warnings=ledger.warnings(),
            ignored=ledger.ignored,
        )
        made = store.accept(job, receipt, most)
        accepted = True
        return made
    finally:
        if job and not accepted:
            store.discard(job)


def answer_of(card: Card) -> dict[str, Any]:
    """What reading this card's outputs takes, even after its version is deleted."""
    return {"model": card.name, "kind": card.kind, **asdict(card.output)}
