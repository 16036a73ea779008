"""A server has no scipy: Keras starts there, and reads and compiles the shipped model."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILE = """
import sys
from pathlib import Path
from production_server.model.compiling import main
from production_server.model.registry import SHIPPED, Registry
version = Registry(SHIPPED).versions()[0]
registry = Registry(Path(sys.argv[1]))
registry.seed()
main(registry, version, Path(sys.argv[2]) / "compiled")
print(sorted(name for name in sys.modules if name.startswith("scipy")))
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """This environment's packages, but for scipy."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith("scipy"):
            (folder / path.name).symlink_to(path)
    return folder


def run(packages: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """By a Python that knows those packages, this checkout, and nothing else."""
    return subprocess.run(
        [sys.executable, "-S", "-c", program, *arguments],
        env={"PYTHONPATH": f"{packages}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=packages,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_shipped_model_is_compiled(packages: Path, tmp_path: Path) -> None:
    models, compiled = tmp_path / "models", tmp_path / "compiled"
    models.mkdir()
    compiled.mkdir()
    done = run(packages, COMPILE, str(models), str(compiled))
    assert done.returncode == 0, done.stderr
    assert (compiled / "compiled").stat().st_size > 1000
    # Whoever asks for scipy afterwards is told the truth.
    assert done.stdout == "[]\n"


def test_what_needs_scipy_says_so(packages: Path) -> None:
    program = """
from production_server.model.kerasfiles import keras_module
keras_module()
from jax.experimental.sparse import linalg
linalg.scipy.sparse.csr_matrix
"""
    done = run(packages, program)
    assert "scipy.sparse.csr_matrix is needed here: install scipy" in done.stderr


def test_without_the_stand_in_keras_would_not_start(packages: Path) -> None:
    done = run(packages, "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras")
    assert "No module named 'scipy'" in done.stderr
