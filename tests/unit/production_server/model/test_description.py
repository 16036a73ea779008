"""The features file, in both notations."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import CardError
from production_server.model.description import DIABETES, read_description
from tests.support.other_models import FLOWERS, POWER


def test_the_shipped_example_and_the_others_are_valid() -> None:
    assert len(read_description(DIABETES).card().features) == 8
    assert read_description(FLOWERS).card().kind == "multiclass"
    assert read_description(POWER).card().unit == "kW"


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("f.toml", "name = ", "neither TOML nor JSON"),
        ("f.json", "{", "neither TOML nor JSON"),
        ("f.json", "[]", "valid dictionary"),
        ("f.toml", 'name = "toy"', "kind: Field required"),
        (
            "f.json",
            '{"name":"toy","kind":"binary","target":"t","classes":["a","b"],"features":'
            '[{"name":"a","low":3,"high":1,"default":0}]}',
            "features.0: low",
        ),
        (
            "f.json",
            '{"name":"toy","kind":"binary","target":"t","classes":["a"],"features":'
            '[{"name":"a","low":0,"high":1,"default":0}]}',
            "2 classes",
        ),
    ],
)
def test_a_bad_file_is_refused_with_the_key(
    tmp_path: Path, name: str, text: str, word: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CardError, match=word) as caught:
        read_description(path)
    assert caught.value.remedy


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(CardError, match="No such file"):
        read_description(Path("/nowhere/features.toml"))
