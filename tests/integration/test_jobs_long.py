"""Jobs of a million rows: bounded memory in every process, visible progress, correct results."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from production_server.model.card import Card
from tests.support.rows import shipped
from tests.support.service import Service
from tests.support.tables import CSV, csv_pieces, get_job, keras_probabilities, table

ROWS = 1_000_000
LIMIT_MB = {"web": 700.0, "worker": 700.0, "recorder": 300.0}


class MemoryWatch(threading.Thread):
    """Records the peak memory of each kind of process."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.peak_mb = dict.fromkeys(LIMIT_MB, 0.0)
        self._service = service
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.1):
            for verb in self.peak_mb:
                self.peak_mb[verb] = max(self.peak_mb[verb], self._service.memory_mb(verb))

    def __enter__(self) -> MemoryWatch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


def json_pieces(card: Card, values: NDArray[np.float64]) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(values), 5000):
        rows = values[start : start + 5000].tolist()
        objects = [dict(zip(card.feature_names, row, strict=True)) for row in rows]
        yield (b"," if start else b"") + json.dumps(objects)[1:-1].encode()
    yield b"]"


@pytest.fixture(scope="module")
def values() -> NDArray[np.float64]:
    return table(shipped()[1], ROWS)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("media", ["text/csv", "application/json"])
def test_million_rows(
    media: str, services: Service, values: NDArray[np.float64], capsys: pytest.CaptureFixture[str]
) -> None:
    registry, card = shipped()
    pieces = list(csv_pieces(card, values) if media in CSV.values() else json_pieces(card, values))
    with MemoryWatch(services) as watch, httpx.Client(base_url=services.url, timeout=300) as client:
        began = time.monotonic()
        answer = client.post("/jobs", content=iter(pieces), headers={"Content-Type": media})
        assert answer.status_code == 202, answer.text
        job = answer.json()["id"]
        accepted = time.monotonic() - began
        seen = set()
        while (state := get_job(client, job))["state"] in ("queued", "running"):
            seen.add(state["rows_done"])
            time.sleep(0.02)
        finished = time.monotonic() - began
        assert (state["state"], state["rows_done"]) == ("done", ROWS)
        assert len(seen) > 10, "the progress is not visible"
        found = probabilities(client, job)
        read = time.monotonic() - began - finished
    np.testing.assert_allclose(found, keras_probabilities(registry, card, values), atol=1e-5)
    with capsys.disabled():
        size = sum(map(len, pieces)) / 1e6
        memory = ", ".join(f"{verb} {peak:.0f} MB" for verb, peak in watch.peak_mb.items())
        print(
            f"\n{ROWS} rows, {media}, {size:.0f} MB: accepted in {accepted:.1f} s, "
            f"predicted in {finished:.1f} s ({state['rows_per_second']:.0f} rows/s once queued), "
            f"result read in {read:.1f} s; {memory}"
        )
    for verb, peak in watch.peak_mb.items():
        assert peak < LIMIT_MB[verb], watch.peak_mb


def probabilities(client: httpx.Client, job: str) -> NDArray[np.float64]:
    """Stream the probabilities of the result; check that it has every row once, in order."""
    found = []
    with client.stream("GET", f"/jobs/{job}/result?format=csv") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "row,label,probability,positive,error"
        for number, line in enumerate(lines):
            row, _, probability, _, error = line.split(",")
            assert int(row) == number
            assert error == ""
            found.append(float(probability))
    assert len(found) == ROWS
    return np.array(found)
