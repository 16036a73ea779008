"""Results as CSV and JSON for each kind of model."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from production_server.errors import StoreError
from production_server.jobs.records import Job, Outcome, Receipt
from production_server.jobs.results import as_csv, as_json
from production_server.jobs.store import Store

BINARY = {"model": "m", "kind": "binary", "classes": ["no", "yes, ill"], "threshold": 0.4}
THREE = {"model": "m", "kind": "multiclass", "classes": ["a", "100%", "c"], "threshold": 0.5}
VALUE = {"model": "m", "kind": "regression", "classes": [], "target": "price", "unit": "%d"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    yield store
    store.close()


def finished(
    store: Store, answer: dict[str, Any], parts: list[list[list[float]] | str], size: int = 2
) -> Job:
    job = store.begin("m-1", answer)
    for number, part in enumerate(parts):
        store.stage(job, number, size if isinstance(part, str) else len(part), b"")
    store.accept(job, Receipt(2 * len(parts), len(parts), None, "h", 1, [], []), 100)
    for number, part in enumerate(parts):
        outputs = None if isinstance(part, str) else np.array(part, "<f4").tobytes()
        error = part if isinstance(part, str) else None
        store.record(job, number, Outcome(outputs, error))
    found = store.get(job)
    assert found is not None
    return found


def test_binary(store: Store) -> None:
    job = finished(store, BINARY, [[[0.1], [0.4]], [[0.9]]])
    text = b"".join(as_csv(store, job)).decode()
    assert text == (
        "row,label,probability,positive,error\n"
        "0,no,0.1,false,\n"
        '1,"yes, ill",0.40000001,true,\n'
        '2,"yes, ill",0.89999998,true,\n'
    )
    told = json.loads(b"".join(as_json(store, job)))
    assert told["version"] == "m-1"
    assert told["predictions"][1] == {
        "row": 1,
        "label": "yes, ill",
        "probability": pytest.approx(0.4),
        "positive": True,
    }


def test_multiclass_and_regression(store: Store) -> None:
    three = finished(store, THREE, [[[0.2, 0.5, 0.3]]])
    assert b"".join(as_csv(store, three)).decode().splitlines() == [
        "row,label,probability,probability_a,probability_100%,probability_c,error",
        "0,100%,0.5,0.2,0.5,0.30000001,",
    ]
    assert json.loads(b"".join(as_json(store, three)))["predictions"] == [
        {
            "row": 0,
            "label": "100%",
            "probability": 0.5,
            "probabilities": {"a": 0.2, "100%": 0.5, "c": 0.30000001},
        }
    ]
    value = finished(store, VALUE, [[[-12.5]]])
    assert b"".join(as_csv(store, value)) == b"row,value,error\n0,-12.5,\n"
    assert json.loads(b"".join(as_json(store, value)))["predictions"] == [
        {"row": 0, "label": "price", "value": -12.5, "unit": "%d"}
    ]


def test_what_is_no_number_is_left_empty(store: Store) -> None:
    job = finished(store, VALUE, [[[float("nan")], [float("inf")], [2.0]]])
    assert b"".join(as_csv(store, job)) == b"row,value,error\n0,,\n1,,\n2,2,\n"
    told = json.loads(b"".join(as_json(store, job)))["predictions"]
    assert [row["value"] for row in told] == [None, None, 2]


def test_a_class_name_cannot_become_a_formula(store: Store) -> None:
    named = {**BINARY, "classes": ["=1+1", "-yes"]}
    job = finished(store, named, [[[0.1], [0.4]]])
    lines = b"".join(as_csv(store, job)).decode().splitlines()
    assert lines[1:] == ["0,'=1+1,0.1,false,", "1,'-yes,0.40000001,true,"]
    told = json.loads(b"".join(as_json(store, job)))["predictions"]
    assert [row["label"] for row in told] == ["=1+1", "-yes"]


def test_rows_of_a_failed_chunk_have_the_reason(store: Store) -> None:
    job = finished(store, BINARY, [[[0.1], [0.2]], 'it broke, "really"', [[0.3], [0.9]]])
    rows = list(csv.DictReader(io.StringIO(b"".join(as_csv(store, job)).decode())))
    assert [row["row"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert [row["error"] for row in rows[1:5]] == ["", *['it broke, "really"'] * 2, ""]
    assert rows[2]["label"] == ""
    told = json.loads(b"".join(as_json(store, job)))["predictions"]
    assert told[2] == {"row": 2, "error": 'it broke, "really"'}
    assert told[4]["row"] == 4


def test_many_chunks_come_in_order(store: Store) -> None:
    job = finished(store, VALUE, [[[number]] for number in range(23)])
    lines = b"".join(as_csv(store, job)).decode().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == [str(n) for n in range(23)]


def test_a_job_removed_in_mid_reading_breaks_the_stream(store: Store) -> None:
    job = finished(store, VALUE, [[[number]] for number in range(9)])
    stream = as_csv(store, job)
    next(stream)
    next(stream)
    store.remove(job.id)
    with pytest.raises(StoreError):
        list(stream)
