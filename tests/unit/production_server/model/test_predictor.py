"""The predictor's batches, and the quality check of training. None of it needs Keras."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from production_server.batch_sizes import BATCH_SIZES
from production_server.errors import DataError, ModelError
from production_server.model.predictor import Predictor, Rows, batches
from production_server.model.registry import SHIPPED, Registry
from production_server.model.training import refuse_worse

CARD = Registry(SHIPPED).card(Registry(SHIPPED).versions()[-1])


@pytest.mark.parametrize("count", [1, 2, 8, 9, 64, 65, 511, 4096, 4097, 10_000])
def test_batches_cover_every_row_once_and_fit(count: int) -> None:
    parts = list(batches(count))
    assert [start for start, _, _ in parts] == [0, *(stop for _, stop, _ in parts)][:-1]
    assert parts[-1][1] == count
    for start, stop, size in parts:
        assert size in BATCH_SIZES
        assert 0 < stop - start <= size


def summing() -> tuple[Predictor, list[int]]:
    sizes: list[int] = []

    def forward(rows: Rows) -> Rows:
        sizes.append(len(rows))
        sums: Rows = rows.sum(axis=1, keepdims=True)
        return sums

    return Predictor(CARD, forward), sizes


@pytest.mark.parametrize("count", [0, 1, 3, 8, 100, 4096, 5000])
def test_each_row_gets_its_own_answer(count: int) -> None:
    predictor, sizes = summing()
    rows = np.arange(count * 8, dtype=np.float32).reshape(count, 8)
    assert predictor.predict(rows).tolist() == rows.sum(axis=1, keepdims=True).tolist()
    assert set(sizes) <= set(BATCH_SIZES), "only compiled sizes run"


def test_rows_of_another_width_are_refused() -> None:
    predictor, _ = summing()
    with pytest.raises(DataError, match="8 numbers") as caught:
        predictor.predict(np.zeros((2, 7), np.float32))
    assert "glucose" in caught.value.remedy


def test_warming_runs_every_size() -> None:
    predictor, sizes = summing()
    predictor.warm()
    assert tuple(sizes) == BATCH_SIZES


def test_a_model_must_reach_the_threshold_and_the_active_version() -> None:
    refuse_worse(0.8, floor=0.8, active=("toy-1", 0.804))
    refuse_worse(0.8, floor=0.0, active=None)
    with pytest.raises(ModelError, match="below the threshold"):
        refuse_worse(0.79, floor=0.8, active=None)
    with pytest.raises(
        ModelError, match=r"worse than 0\.8200, the figure of the active toy-1"
    ) as caught:
        refuse_worse(0.81, floor=0.5, active=("toy-1", 0.82))
    assert "--force" in caught.value.remedy


def test_cards_and_cohorts_need_no_keras() -> None:
    code = (
        "import sys\n"
        "from production_server.model import cohort, registry, predictor, description\n"
        "r = registry.Registry(registry.SHIPPED); cohort.sample(r.card(r.versions()[0]), 9, 1)\n"
        "loaded = {'keras', 'jax', 'h5py'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
