"""The commands predict and stream give the predictions of the predictor, without a server."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from production_server.cli import group
from production_server.errors import DataError
from production_server.model.cohort import sample
from production_server.model.predictor import Predictor
from production_server.model.registry import SHIPPED, Registry
from tests.support.other_models import DATA, add_flowers

ROOT = Path(__file__).resolve().parent.parent.parent
CARD = Registry(SHIPPED).card(Registry(SHIPPED).versions()[-1])
PATIENT = ("6", "148", "72", "35", "0", "33.6", "0.627", "50")
ROWS = [row for row, _ in sample(CARD, 300, seed=6)]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(tmp_path_factory.mktemp("cli") / "registry")
    registry.seed()
    return registry


@pytest.fixture(scope="module")
def expected(registry: Registry) -> list[float]:
    table = np.array([list(row.values()) for row in ROWS], np.float32)
    answers: list[float] = Predictor.load(registry, CARD.version).predict(table)[:, 0].tolist()
    return answers


def run(*arguments: object, given: str | None = None) -> Result:
    words = [str(word) for word in arguments]
    return CliRunner().invoke(group, words, input=given, catch_exceptions=False)


def test_values_in_order_and_by_name_give_the_same_answer(registry: Registry) -> None:
    named = [f"{name}={value}" for name, value in zip(CARD.feature_names, PATIENT, strict=True)]
    first = run("predict", *PATIENT, "--json", "--registry", registry.path).stdout
    second = run("predict", *reversed(named), "--json", "--registry", registry.path).stdout
    assert json.loads(first) == json.loads(second)
    assert json.loads(first)["version"] == CARD.version
    text = run("predict", *PATIENT, "--registry", registry.path).stdout
    probability = json.loads(first)["predictions"][0]["probability"]
    assert text == f"diabetes (probability of diabetes: {probability:.4f})\n"


def test_an_implausible_value_gives_a_warning_and_an_impossible_one_an_error(
    registry: Registry,
) -> None:
    odd = run("predict", "6", "300", *PATIENT[2:], "--registry", registry.path)
    assert odd.exit_code == 0
    assert "warning: Glucose" in odd.stderr
    with pytest.raises(DataError, match="glucose cannot be"):
        run("predict", "6", "-3", *PATIENT[2:], "--registry", registry.path)
    with pytest.raises(DataError, match="takes 8 values, got 2"):
        run("predict", "6", "148", "--registry", registry.path)


def as_csv(rows: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, CARD.feature_names)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_table_from_stdin(registry: Registry, expected: list[float]) -> None:
    done = run("predict", "--csv", "-", "--registry", registry.path, given=as_csv(ROWS))
    answers = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [float(row["probability"]) for row in answers] == pytest.approx(expected, abs=1e-5)
    assert [row["row"] for row in answers] == [str(number) for number in range(len(ROWS))]
    assert {row["positive"] for row in answers} == {"true", "false"}


def test_table_with_three_classes(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    add_flowers(registry, activate=True)
    done = run("predict", "--csv", DATA / "flowers.csv", "--registry", registry.path)
    answers = list(csv.DictReader(io.StringIO(done.stdout)))
    truth = list(csv.DictReader((DATA / "flowers.csv").open(encoding="utf-8")))
    right = [row["label"] == true["species"] for row, true in zip(answers, truth, strict=True)]
    assert np.mean(right) > 0.9
    for row in answers:
        assert float(row[f"probability_{row['label']}"]) == float(row["probability"])


def test_table_from_file_to_file(registry: Registry, expected: list[float], tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(as_csv(ROWS[:3]), encoding="utf-8")
    run("predict", "--csv", source, "--output", target, "--registry", registry.path)
    answers = list(csv.DictReader(target.open(encoding="utf-8")))
    assert [float(row["probability"]) for row in answers] == pytest.approx(expected[:3], abs=1e-5)


def test_invalid_table_names_its_lines(registry: Registry) -> None:
    bad = as_csv(ROWS[:2]) + "1,2,3,x,5,6,7,8\n"
    with pytest.raises(DataError, match="line 4: skin_thickness"):
        run("predict", "--csv", "-", "--registry", registry.path, given=bad)


def test_values_and_table_are_exclusive(registry: Registry) -> None:
    assert run("predict", "--registry", registry.path).exit_code == 2
    assert run("predict", "1", "--csv", "-", "--registry", registry.path).exit_code == 2


@pytest.fixture
def stream(registry: Registry) -> Iterator[subprocess.Popen[str]]:
    """`python3 -m production_server stream`, with pipes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "production_server", "stream", "--registry", registry.path],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()


def test_line_is_answered_at_once(stream: subprocess.Popen[str], expected: list[float]) -> None:
    assert stream.stdin
    assert stream.stdout
    for row, wanted in zip(ROWS[:3], expected, strict=False):
        stream.stdin.write(json.dumps(row) + "\n")
        stream.stdin.flush()
        answer = json.loads(stream.stdout.readline())
        assert answer["probability"] == pytest.approx(wanted, abs=1e-5)
        assert answer["version"] == CARD.version
    rest, _ = stream.communicate(timeout=30)
    assert rest == ""
    assert stream.returncode == 0


def test_lines_keep_their_order_and_invalid_ones_report_their_number(
    stream: subprocess.Popen[str], expected: list[float]
) -> None:
    lines = [json.dumps(row) for row in ROWS]
    lines[1] = json.dumps(list(ROWS[1].values()))
    lines[2] = "{"
    lines[3] = json.dumps({**ROWS[3], "glucose": None})
    lines[4] = json.dumps([1, 2])
    lines[5] = json.dumps({**ROWS[5], "height": 1})
    out, _ = stream.communicate("\n".join(lines[:7]) + "\n\n" + "\n".join(lines[7:]), timeout=60)
    answers = [json.loads(line) for line in out.splitlines()]
    assert len(answers) == len(ROWS), "a blank line has no answer"
    errors = {line["line"]: line["error"]["code"] for line in answers if "error" in line}
    assert errors == {3: "malformed_json", 4: "invalid_rows", 5: "not_a_row", 6: "invalid_rows"}
    for number, (line, wanted) in enumerate(zip(answers, expected, strict=True)):
        if number not in (2, 3, 4, 5):
            assert line["probability"] == pytest.approx(wanted, abs=1e-5)
    assert stream.returncode == 2
