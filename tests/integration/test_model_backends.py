"""Keras' other backends predict the same as jax, each in its own environment."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from production_server.errors import ModelError
from production_server.model import kerasfiles
from production_server.model.cohort import sample
from production_server.model.predictor import Predictor
from production_server.model.registry import SHIPPED, Registry

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWER = """
import sys
import numpy as np
from production_server.model.predictor import Predictor
from production_server.model.registry import SHIPPED, Registry
predictor = Predictor.load(Registry(SHIPPED), sys.argv[1])
predictor.warm()
np.save(sys.argv[3], predictor.predict(np.load(sys.argv[2])))
import keras
print(keras.config.backend())
"""


def answered_by(python: Path | str, backend: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Predict 100 rows with another interpreter, and leave both tables in `folder`."""
    registry = Registry(SHIPPED)
    card = registry.card(registry.versions()[-1])
    rows = np.array([list(row.values()) for row, _ in sample(card, 100, seed=8)], np.float32)
    np.save(folder / "rows.npy", rows)
    np.save(folder / "jax.npy", Predictor.load(registry, card.version).predict(rows))
    return subprocess.run(
        [str(python), "-c", ANSWER, card.version, folder / "rows.npy", folder / "answers.npy"],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("backend", "package"), [("tensorflow", "tensorflow-cpu"), ("torch", "torch")]
)
def test_another_backend_predicts_the_same(
    backend: str, package: str, tmp_path: Path, needs: Callable[[object, str], None]
) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    same = [f"{name}=={importlib.metadata.version(name)}" for name in ("keras", "pydantic")]
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", package, *same], check=False
    )
    needs(installed.returncode == 0, f"pip cannot install {package}: a package index is needed")
    done = answered_by(python, backend, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == backend
    off = np.abs(np.load(tmp_path / "answers.npy") - np.load(tmp_path / "jax.npy")).max()
    assert off < 1e-5


def test_a_backend_that_is_not_installed_is_reported(tmp_path: Path) -> None:
    done = answered_by(sys.executable, "torch", tmp_path)
    assert done.returncode != 0
    assert "ModelError: Keras cannot start" in done.stderr


def test_an_unsupported_backend_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = kerasfiles.keras_module()
    monkeypatch.setattr(keras.config, "backend", lambda: "openvino")
    registry = Registry(SHIPPED)
    with pytest.raises(ModelError, match="'openvino' is not supported"):
        Predictor.load(registry, registry.versions()[-1])
