"""An upload becomes a whole job or leaves nothing behind."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from production_server.errors import KeyReused, QueueFull, RowsRefused, UploadTooLarge
from production_server.jobs.acceptance import Upload, accept
from production_server.jobs.engine import open_engine
from production_server.jobs.intake import CHUNK_BYTES, Body, Limits
from production_server.jobs.records import Job
from production_server.jobs.store import Store
from production_server.jobs.tables import chunks, jobs
from production_server.model.card import Card, Feature

LIMITS = Limits(rows=1000, body=1 << 20, chunk_rows=10)
HEADER = b"age,blood_pressure,score\n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'deep' / 'jobs.sqlite3'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


def rows_of(url: str) -> tuple[int, int]:
    engine = open_engine(url)
    with engine.connect() as connection:
        counted = tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (jobs, chunks)
        )
    engine.dispose()
    return counted  # type: ignore[return-value]


def send(store: Store, card: Card, data: bytes, key: str | None = None, most: int = 5) -> Job:
    upload = Upload(Body(io.BytesIO(data), LIMITS.body), "csv", key)
    return accept(store, upload, card, LIMITS, most)


def test_rows_are_kept_in_order_in_chunks_of_the_set_size(store: Store, card: Card) -> None:
    data = HEADER + b"".join(b"%d,70,0\n" % (20 + n) for n in range(25))
    job = send(store, card, data)
    assert (job.state, job.rows, job.chunks, job.version) == ("queued", 25, 3, "tiny-1")
    payloads = [store.payload(job.id, number) for number in range(3)]
    assert [payload.count for payload in payloads if payload] == [10, 10, 5]
    values = np.frombuffer(b"".join(p.rows for p in payloads if p), "<f4").reshape(-1, 3)
    assert values[:, 0].tolist() == list(range(20, 45))


def test_a_model_with_very_many_features_gets_smaller_chunks(card: Card) -> None:
    many = [Feature(name=f"f{n}", low=0, high=1, default=0) for n in range(2000)]
    wide = card.model_copy(update={"features": many})
    assert Limits(10**6, 1, 5000).chunk_of(wide) == CHUNK_BYTES // 8000


@pytest.mark.parametrize("bad_row", [0, 24])
def test_a_refused_upload_leaves_nothing(bad_row: int, store: Store, url: str, card: Card) -> None:
    lines = [b"30,70,0\n"] * 25
    lines[bad_row] = b"30,oops,0\n"
    with pytest.raises(RowsRefused) as caught:
        send(store, card, HEADER + b"".join(lines), key="k")
    assert caught.value.errors[0]["line"] == bad_row + 2
    assert rows_of(url) == (0, 0)
    assert send(store, card, HEADER + b"30,70,0\n", key="k").rows == 1


def test_a_body_that_breaks_off_leaves_nothing(store: Store, url: str, card: Card) -> None:
    class Broken(io.RawIOBase):
        def __init__(self) -> None:
            self.pieces = [HEADER, b"30,70,0\n" * 200_000]

        def read(self, size: int = -1) -> bytes:
            if not self.pieces:
                assert rows_of(url)[1] > 0, "chunks were staged before the end"
                raise ConnectionResetError("gone")
            return self.pieces.pop(0)

    limits = Limits(rows=10**6, body=1 << 30, chunk_rows=1000)
    with pytest.raises(ConnectionResetError):
        accept(store, Upload(Body(Broken(), 1 << 30), "csv"), card, limits, 5)  # type: ignore[arg-type]
    assert rows_of(url) == (0, 0)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (HEADER + b"30,70,0\n" * 1001, "too_many_rows"),
        (HEADER + b" " * (1 << 20), "body_too_large"),
    ],
)
def test_too_much_is_refused_and_leaves_nothing(
    data: bytes, code: str, store: Store, url: str, card: Card
) -> None:
    with pytest.raises(UploadTooLarge) as caught:
        send(store, card, data)
    assert caught.value.code == code
    assert rows_of(url) == (0, 0)


def test_no_rows_are_refused(store: Store, card: Card) -> None:
    with pytest.raises(RowsRefused) as caught:
        send(store, card, HEADER)
    assert caught.value.errors[0]["code"] == "no_rows"


def test_the_same_key_and_body_give_the_same_job(store: Store, url: str, card: Card) -> None:
    first = send(store, card, HEADER + b"30,70,0\n", key="k")
    assert send(store, card, HEADER + b"30,70,0\n", key="k").id == first.id
    assert send(store, card, HEADER + b"30,70,0\n", key="other").id != first.id
    with pytest.raises(KeyReused):
        send(store, card, HEADER + b"31,70,0\n", key="k")
    assert rows_of(url) == (2, 2)


def test_one_key_sent_many_times_at_once_gives_one_job(store: Store, url: str, card: Card) -> None:
    data = HEADER + b"30,70,0\n" * 30
    made: list[str] = []
    gate = threading.Barrier(8)

    def race() -> None:
        gate.wait()
        made.append(send(store, card, data, key="k").id)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
    assert rows_of(url) == (1, 3)


def test_too_many_unfinished_jobs_are_refused(store: Store, url: str, card: Card) -> None:
    for _ in range(2):
        job = send(store, card, HEADER + b"30,70,0\n", most=2)
    with pytest.raises(QueueFull):
        send(store, card, HEADER + b"30,70,0\n", most=2)
    assert rows_of(url) == (2, 2)
    store.cancel(job.id)
    assert send(store, card, HEADER + b"30,70,0\n", most=2).state == "queued"
