"""Reading CSV: what is accepted, which problems are reported, and how fast it is."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest

from production_server.errors import RowsRefused, UploadMalformed
from production_server.jobs import csv_rows
from production_server.jobs.csv_rows import csv_tables, feature_of, whole_lines
from production_server.jobs.intake import Body, Limits, chunks
from production_server.jobs.ledger import MOST_COUNTED, Ledger
from production_server.model.card import Card, Feature


def read(
    data: bytes, card: Card, ledger: Ledger, piece: int = 1000, *, ignore: bool = False
) -> np.ndarray:
    pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])
    tables = list(csv_tables(pieces, card, ledger, ignore_unknown=ignore))
    return np.concatenate(tables) if tables else np.empty((0, len(card.features)))


def reported(ledger: Ledger) -> list[tuple[str, int, str]]:
    return [(error["code"], error["line"], error["field"]) for error in ledger.errors()]


@pytest.mark.parametrize(
    "text",
    [
        "age,blood_pressure,score\n30,70,0.5\n40,80,-1\n",
        "score,age,blood_pressure\n0.5,30,70\n-1,40,80",
        "\ufeffage,blood_pressure,score\r\n30,70,0.5\r\n40,80,-1\r\n",
        "\n\nage,blood_pressure,score\n\n30,70,0.5\n\n \n40,80,-1\n\n",
        "age;blood_pressure;score\n30;70;.5\n40;80;-1e0\n",
        "age\tblood_pressure\tscore\n30\t70\t+0.50\n40\t80\t-1\n",
        '"Age","Blood Pressure","SCORE"\n"30","70","0.5"\n40,80,-1\n',
        " age , bloodPressure ,score\n 30 , 70 , 0.5 \n40,80,-1\n",
    ],
    ids=["plain", "any order", "windows", "blank lines", "semicolon", "tab", "quoted", "spaces"],
)
def test_all_usual_forms_are_read(text: str, card: Card, lines: Ledger) -> None:
    values = read(text.encode(), card, lines)
    assert lines.errors() == []
    assert values.tolist() == [[30, 70, 0.5], [40, 80, -1]]


def test_lines_and_blocks_can_be_split_anywhere(
    card: Card, lines: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"age,blood_pressure,score\n" + b"".join(b"%d,70,0\n" % (20 + n % 50) for n in range(99))
    for block in (30, 64, 1000):
        monkeypatch.setattr(csv_rows, "BLOCK", block)
        for piece in (1, 7, 64):
            values = read(data, card, lines, piece)
            assert values[:, 0].tolist() == [20 + n % 50 for n in range(99)]


def test_each_problem_has_its_line_field_and_cause(card: Card, lines: Ledger) -> None:
    bad = [
        "30,70,x",
        "30,,1",
        "nan,70,1",
        "30,inf,1",
        "-1,70,0",
        "131,70,0",
        "30,NA,0",
        "1_0,70,0",
        "30,70,1e39",
        "30,70,0x1",
        "30,70",
        "30,70,0,0",
        '30,70,"0',
    ]
    text = "age,blood_pressure,score\n30,70,0\n" + "\n".join(bad) + "\n30,70,1\n"
    read(text.encode(), card, lines)
    assert reported(lines) == [
        ("not_a_number", 3, "score"),
        ("missing_value", 4, "blood_pressure"),
        ("nan", 5, "age"),
        ("infinite", 6, "blood_pressure"),
        ("impossible", 7, "age"),
        ("impossible", 8, "age"),
        ("missing_value", 9, "blood_pressure"),
        ("not_a_number", 10, "age"),
        ("infinite", 11, "score"),
        ("not_a_number", 12, "score"),
        ("wrong_column_count", 13, ""),
        ("wrong_column_count", 14, ""),
        ("malformed_line", 15, ""),
    ]
    assert lines.errors()[1]["remedy"] == (
        "Give a number, usually 40 to 120 mm Hg, or 0 where it was not measured."
    )


def test_all_problems_are_counted_and_the_first_are_listed(card: Card, lines: Ledger) -> None:
    text = "age,blood_pressure,score\n" + "30,x,y\n" * 500
    read(text.encode(), card, lines)
    assert lines.count == 1000
    assert len(lines.errors()) == 20


def test_line_numbers_are_right_in_later_blocks(
    card: Card, lines: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "BLOCK", 100)
    text = "\nage,blood_pressure,score\n" + "30,70,0\n\n" * 50 + "30,oops,0\n"
    read(text.encode(), card, lines, 50)
    assert reported(lines) == [("not_a_number", 103, "blood_pressure")]


def test_implausible_values_are_counted_but_not_refused(card: Card, lines: Ledger) -> None:
    text = "age,blood_pressure,score\n30,70,0\n\n10,0,0\n15,200,2\n30,70,0\n"
    values = read(text.encode(), card, lines)
    assert len(values) == 4
    assert lines.count == 0
    assert [(w["field"], w["count"], w["first_line"]) for w in lines.warnings()] == [
        ("age", 2, 4),
        ("blood_pressure", 1, 5),
        ("score", 1, 5),
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("30,70,0", [("missing_header", 1, "")]),
        ("age,score", [("missing_column", 1, "blood_pressure")]),
        ("age,age,blood_pressure,score", [("duplicate_column", 1, "age")]),
        ("id,age,blood_pressure,score", [("unknown_field", 1, "id")]),
        ("", [("missing_header", 2, "")]),
    ],
)
def test_problems_of_the_header(
    header: str, expected: list[tuple[str, int, str]], card: Card, lines: Ledger
) -> None:
    read(f"{header}\n30,70,0\n".encode(), card, lines)
    assert reported(lines) == expected


def test_unknown_columns_can_be_ignored_and_are_listed(card: Card, lines: Ledger) -> None:
    text = 'id,score,age,Outcome,blood_pressure\nA-1,0.5,30,yes,70\n"B,2",-1,40,no,80\n'
    values = read(text.encode(), card, lines, ignore=True)
    assert lines.errors() == []
    assert values.tolist() == [[30, 70, 0.5], [40, 80, -1]]
    assert lines.ignored == ["id", "Outcome"]


def test_an_extra_cell_beside_ignored_columns_is_a_problem(card: Card, lines: Ledger) -> None:
    text = "age,blood_pressure,score,note\n30,70,0,a\n30,70,0,a,b\n"
    read(text.encode(), card, lines, ignore=True)
    assert reported(lines) == [("wrong_column_count", 3, "")]


@pytest.mark.parametrize("data", ["age,score\n1,2\n".encode("utf-16"), b"\xff\xfe\xfa\n1\n"])
def test_a_body_that_is_not_text_is_refused(data: bytes, card: Card, lines: Ledger) -> None:
    with pytest.raises(UploadMalformed, match="UTF-8"):
        read(data, card, lines)


def test_an_endless_line_does_not_fill_the_memory() -> None:
    endless = (b"x" * 65536 for _ in range(1_000_000))
    with pytest.raises(UploadMalformed, match="longer than"):
        list(whole_lines(endless))


def test_an_endless_header_is_refused(card: Card, lines: Ledger) -> None:
    with pytest.raises(UploadMalformed, match="columns"):
        read(b"x," * 20_000 + b"\n1\n", card, lines)


def test_an_ambiguous_name_must_be_exact(card: Card) -> None:
    pair = [Feature(name=name, low=0, high=1, default=0) for name in ("a_1", "a1")]
    ambiguous = card.model_copy(update={"features": pair})
    assert feature_of("a_1", ambiguous) == "a_1"
    assert feature_of("A 1", ambiguous) is None


def test_the_fast_and_the_slow_parser_agree(card: Card, lines: Ledger) -> None:
    random.seed(5)
    cells = [
        f"{random.uniform(20, 80):.{n % 9}g},{random.randint(40, 120)},{random.random()}"
        for n in range(2000)
    ]
    plain = "age,blood_pressure,score\n" + "\n".join(cells)
    quoted = plain.replace("\n", '\n"', 1).replace(",", '",', 3).replace('",', ",", 2)
    fast = read(plain.encode(), card, lines)
    slow = read(quoted.encode(), card, lines)
    assert lines.errors() == []
    assert np.array_equal(fast, slow)


def test_100_000_rows_take_well_under_a_second(card: Card, lines: Ledger) -> None:
    data = b"age,blood_pressure,score\n" + b"33.6,72,0.627\n" * 100_000
    started = time.process_time()
    values = read(data, card, lines, 65536)
    assert len(values) == 100_000
    assert time.process_time() - started < 0.8


def test_quoted_cells_take_little_longer(card: Card, lines: Ledger) -> None:
    data = b"id,age,blood_pressure,score\n" + b'"patient",33.6,72,0.627\n' * 50_000
    started = time.process_time()
    values = read(data, card, lines, 65536, ignore=True)
    assert len(values) == 50_000
    assert time.process_time() - started < 0.8


@pytest.mark.parametrize("before", [b"", b"age,blood_pressure,score\n30,70,0\n"])
@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \n"])
def test_blank_lines_are_refused_early(
    before: bytes, blank: bytes, card: Card, lines: Ledger
) -> None:
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        yield before
        for _ in range(4096):
            taken.append(1)
            yield (blank * 65536)[:65536]

    started = time.process_time()
    with pytest.raises(UploadMalformed, match="blank"):
        list(csv_tables(endless(), card, lines, ignore_unknown=False))
    assert len(taken) < 10
    assert time.process_time() - started < 0.5


def test_a_blank_line_after_each_row_is_accepted(card: Card, lines: Ledger) -> None:
    values = read(b"age,blood_pressure,score\n" + b"30,70,0\n\n" * 50_000, card, lines, 65536)
    assert (len(values), lines.count) == (50_000, 0)


def test_blank_lines_before_the_header_take_little_time(card: Card, lines: Ledger) -> None:
    text = b"\n" * 9_000 + b"age,blood_pressure,score\n30,70,x\n"
    started = time.process_time()
    read(text, card, lines)
    assert reported(lines) == [("not_a_number", 9_002, "score")]
    assert time.process_time() - started < 0.05


def test_the_check_stops_after_very_many_problems(card: Card, lines: Ledger) -> None:
    body = Body(io.BytesIO(b"age,blood_pressure,score\n" + b"x\n" * 2_000_000), 10**9)
    limits = Limits(rows=10**7, body=10**9, chunk_rows=1000)
    with pytest.raises(RowsRefused) as caught:
        list(chunks(body, "csv", card, limits, lines, ignore_unknown=False))
    assert caught.value.count == MOST_COUNTED
    assert body.size < 1_000_000


def test_a_wide_header_of_a_card_with_many_features(card: Card) -> None:
    features = [Feature(name=f"f{n}", low=0, high=1, default=0) for n in range(500)]
    wide = card.model_copy(update={"features": features})
    header = ",".join(f"F {n % 500}{'' if n < 500 else 'x'}" for n in range(5000))
    ledger = Ledger("line", wide)
    started = time.process_time()
    read(f"{header}\n".encode(), wide, ledger, 65536, ignore=True)
    assert ledger.errors() == []
    assert time.process_time() - started < 0.5
