"""Cards: what is refused, and that reading one back gives the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from production_server.errors import CardError
from production_server.model.card import Card, Feature, card_text, is_version, read_card
from production_server.model.registry import SHIPPED, Registry


def card(**changes: Any) -> Card:
    plain = {
        "name": "toy",
        "version": "toy-1",
        "kind": "binary",
        "target": "Outcome",
        "classes": ["no", "yes"],
        "features": [{"name": "a", "low": 0, "high": 1, "default": 0.5}],
    }
    return Card.model_validate({**plain, **changes})


def test_a_card_reads_back_as_it_was_written(tmp_path: Path) -> None:
    for version in Registry(SHIPPED).versions():
        shipped = Registry(SHIPPED).card(version)
        path = tmp_path / "card.json"
        path.write_text(card_text(shipped), encoding="utf-8")
        assert read_card(path) == shipped


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"classes": ["yes"]}, "2 classes"),
        ({"kind": "multiclass", "classes": ["one"]}, "2 or more"),
        ({"kind": "regression"}, "no classes"),
        ({"classes": ["same", "same"]}, "differ"),
        ({"version": "other-1"}, "does not belong"),
        ({"version": "../toy-1"}, "pattern"),
        ({"features": []}, "at least 1"),
        ({"features": [{"name": "a", "low": 0, "high": 1, "default": 0}] * 2}, "occur twice"),
        ({"surprise": 1}, "Extra inputs"),
        ({"kind": "clustering"}, "'binary'"),
        ({"threshold": float("nan")}, "finite"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        card(**changes)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"low": 2}, "less than high"),
        ({"minimum": 0.2}, "minimum <= low"),
        ({"maximum": 0.9}, "minimum <= low"),
        ({"default": -1, "minimum": 0}, "default"),
        ({"name": "not a name"}, "pattern"),
        ({"high": float("inf")}, "finite"),
    ],
)
def test_a_feature_that_contradicts_itself_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        Feature.model_validate({"name": "a", "low": 0, "high": 1, "default": 0.5, **changes})


def test_a_missing_value_may_be_the_default() -> None:
    feature = Feature(name="a", low=5, high=9, default=0, minimum=0, zero_is_missing=True)
    assert feature.default == 0


def test_width_follows_the_kind() -> None:
    assert card().width == 1
    assert card(kind="multiclass", classes=["a", "b", "c"]).width == 3
    assert card(kind="regression", classes=[]).width == 1


def test_an_unreadable_card_names_the_key_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    with pytest.raises(CardError, match="No such file"):
        read_card(path)
    path.write_text('{"name": "toy"}', encoding="utf-8")
    with pytest.raises(CardError, match="version: Field required") as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["toy-0", "toy", "toy-1/..", "../toy-1", "-1", "Toy-1", "toy-1\n"])
def test_what_is_no_version(text: str) -> None:
    assert not is_version(text)


def test_what_is_a_version() -> None:
    assert is_version("toy-1")
    assert is_version("wind-power_2-31")
