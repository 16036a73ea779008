"""Tables: columns are found by name, hashes are checked, and errors name line and column."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from production_server.errors import DataError
from production_server.model.dataset import fetch, read_table
from production_server.model.description import DIABETES, read_description

CARD = read_description(DIABETES).card()
HEADING = ",".join([*CARD.feature_names, "outcome"])
KAGGLE = (
    "Pregnancies,Glucose,BloodPressure,SkinThickness,Insulin,BMI,DiabetesPedigreeFunction,"
    "Age,Outcome"
)
FIRST = "6,148,72,35,0,33.6,0.627,50,1"
SECOND = "1,85,66,29,0,26.6,0.351,31,0"


def written(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("heading", [HEADING, KAGGLE, HEADING.upper(), "\ufeff" + HEADING])
def test_usual_spellings_of_the_header(tmp_path: Path, heading: str) -> None:
    table = read_table(written(tmp_path, heading, FIRST, "", SECOND), CARD)
    assert table.rows[0].tolist() == [6, 148, 72, 35, 0, 33.6, 0.627, 50]
    assert table.truth.tolist() == [1, 0]


def test_a_table_without_a_header(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, FIRST, SECOND), CARD).rows.shape == (2, 8)


def test_columns_in_another_order_with_an_extra_one(tmp_path: Path) -> None:
    heading = "name," + ",".join(reversed(HEADING.split(",")))
    line = "someone," + ",".join(reversed(FIRST.split(",")))
    assert read_table(written(tmp_path, heading, line), CARD).rows[0, 1] == 148


def test_outcomes_as_class_labels(tmp_path: Path) -> None:
    line = FIRST.rpartition(",")[0] + ",diabetes"
    assert read_table(written(tmp_path, HEADING, line), CARD).truth.tolist() == [1]


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ((HEADING.replace("bmi", "mass"), FIRST), "no columns named 'bmi'"),
        ((HEADING.replace("bmi", "age"), FIRST), "no columns named 'bmi'"),
        ((HEADING + ",age", FIRST + ",1"), "2 columns named 'age'"),
        (
            (HEADING, FIRST, "6,148,72,35,,33.6,0.627,50,1"),
            "line 3, column 5: the value is missing",
        ),
        ((HEADING, "6,x,72,35,0,33.6,0.627,50,1"), "line 2, column 2: 'x'"),
        ((HEADING, "6,nan,72,35,0,33.6,0.627,50,1"), "not a finite number"),
        ((HEADING, "6,148"), "missing"),
        ((HEADING, FIRST[:-1] + "7"), "neither class labels nor 0 to 1"),
        ((HEADING,), "no rows"),
        (("",), "empty"),
    ],
)
def test_the_error_names_the_place_in_a_bad_table(
    tmp_path: Path, lines: tuple[str, ...], word: str
) -> None:
    with pytest.raises(DataError, match=word) as caught:
        read_table(written(tmp_path, *lines), CARD)
    assert caught.value.remedy


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="not CSV in UTF-8"):
        read_table(str(path), CARD)


def test_the_hash_is_checked(tmp_path: Path) -> None:
    source = written(tmp_path, HEADING, FIRST)
    right = hashlib.sha256(Path(source).read_bytes()).hexdigest()
    assert fetch(source, right.upper())[1] == right
    with pytest.raises(DataError, match="expected 00ff"):
        fetch(source, "00ff")


def test_a_missing_file() -> None:
    with pytest.raises(DataError, match="No such file"):
        fetch("/nowhere/at/all.csv")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A web server over the test's folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep pytest's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_table_from_a_url(tmp_path: Path, address: str) -> None:
    written(tmp_path, HEADING, FIRST)
    assert len(read_table(f"{address}/table.csv", CARD).rows) == 1
    with pytest.raises(DataError, match=r"cannot download .*other.csv: File not found"):
        fetch(f"{address}/other.csv")
