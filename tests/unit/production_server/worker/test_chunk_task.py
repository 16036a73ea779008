"""Which errors of a chunk are final, and which are tried again."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from production_server.errors import RegistryError
from production_server.worker.chunk_task import predict

ROWS = np.zeros((2, 3), "<f4").tobytes()


class JaxRuntimeError(RuntimeError):
    """Has the name of the error of jax's runtime."""


def outcome(*, loading: Exception | None = None, predicting: Exception | None = None) -> Any:
    """What the task returns if loading the model or predicting raises."""

    def model(rows: Any) -> Any:
        if predicting is not None:
            raise predicting
        return rows[:, :1]

    def get(_version: str) -> Any:
        if loading is not None:
            raise loading
        return SimpleNamespace(predict=model)

    cache: Any = SimpleNamespace(get=get)
    return predict(cache, "toy-1", ROWS, 2)


def test_rows_are_predicted() -> None:
    assert outcome() == {"outputs": b"\0" * 8}


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        ZeroDivisionError("no"),
        JaxRuntimeError("INVALID_ARGUMENT: a wrong shape"),
    ],
)
def test_an_error_about_the_rows_is_final(error: Exception) -> None:
    assert outcome(predicting=error) == {"error": f"{type(error).__name__}: {error}"}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
    ],
)
def test_an_error_of_the_machine_is_temporary(error: Exception) -> None:
    assert outcome(predicting=error)["temporary"] is True


@pytest.mark.parametrize(
    "error", [RegistryError("no version toy-1"), ValueError("damaged"), MemoryError()]
)
def test_a_model_that_cannot_be_loaded_is_temporary(error: Exception) -> None:
    found = outcome(loading=error)
    assert found["temporary"] is True
    assert type(error).__name__ in found["error"]
