"""When a new version counts as clearly worse than the active one."""

from __future__ import annotations

from typing import Any

import pytest

from production_server.errors import GateError
from production_server.model.card import Card
from production_server.model.metrics import HeldOut, Metrics
from production_server.model.quality import refuse_worse, same_rows
from production_server.model.registry import SHIPPED, Registry

SHIPPED_CARD = Registry(SHIPPED).card(Registry(SHIPPED).versions()[-1])


def card(number: int, data: str = "", truth: list[float] | None = None, **metrics: Any) -> Card:
    held = HeldOut(truth=truth, probability=[0.5] * len(truth)) if truth else None
    measured = Metrics(**{"rows_train": 600, "rows_test": 154, "held_out": held, **metrics})
    return SHIPPED_CARD.model_copy(
        update={
            "version": f"diabetes-{number}",
            "metrics": measured if metrics else None,
            "data_sha256": data,
        }
    )


def test_on_the_same_rows_only_rounding_is_allowed() -> None:
    truth = [0.0, 1.0]
    old = card(1, "d", truth, roc_auc=0.84)
    assert refuse_worse(card(2, "d", truth, roc_auc=0.836), old)
    with pytest.raises(GateError, match=r"0\.8300, 0\.8400 of the active diabetes-1") as caught:
        refuse_worse(card(2, "d", truth, roc_auc=0.83), old)
    assert caught.value.code == "worse" and "--force" in caught.value.remedy
    assert "forced" in refuse_worse(card(2, "d", truth, roc_auc=0.83), old, force=True)[0]


def test_on_other_rows_chance_is_allowed_for() -> None:
    old = card(1, "d", [0.0, 1.0], roc_auc=0.84)
    # Of 154 rows, the AUC has a standard error of 0.03.
    assert refuse_worse(card(2, "d", [1.0, 0.0], roc_auc=0.80), old)
    with pytest.raises(GateError, match="clearly worse"):
        refuse_worse(card(2, "d", [1.0, 0.0], roc_auc=0.70), old)
    many = card(1, "d", roc_auc=0.84, rows_test=100_000)
    with pytest.raises(GateError):
        refuse_worse(card(2, "e", roc_auc=0.82, rows_test=100_000), many)


@pytest.mark.parametrize(
    ("better", "worse"), [({"accuracy": 0.9}, {"accuracy": 0.7}), ({"rmse": 1.0}, {"rmse": 1.4})]
)
def test_other_kinds_of_models(better: dict[str, float], worse: dict[str, float]) -> None:
    assert refuse_worse(card(2, **better), card(1, **worse))
    with pytest.raises(GateError):
        refuse_worse(card(2, **worse), card(1, **better))


def test_without_metrics_nothing_is_compared_and_a_note_says_so() -> None:
    assert "diabetes-2 has no metrics" in refuse_worse(card(2), card(1, roc_auc=0.8))[0]
    assert "diabetes-1 has no metrics" in refuse_worse(card(2, roc_auc=0.5), card(1))[0]
    assert "no metrics" in refuse_worse(card(2, accuracy=0.5), card(1, rmse=3.0))[0]


def test_the_same_rows_need_the_same_data_and_the_same_split() -> None:
    one = card(1, "d", [0.0, 1.0], roc_auc=0.8)
    assert same_rows(one, one)
    assert not same_rows(one, card(2, "e", [0.0, 1.0], roc_auc=0.8))
    assert not same_rows(one, card(2, "d", [1.0, 1.0], roc_auc=0.8))
    assert not same_rows(card(1, "", roc_auc=0.8), card(2, "", roc_auc=0.8))
