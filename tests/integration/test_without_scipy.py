"""Without scipy, as on a server, Keras starts, and loads and compiles the shipped model."""

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
from production_server.model.compiler import compile_to
from production_server.model.registry import SHIPPED, Registry
version = Registry(SHIPPED).versions()[0]
registry = Registry(Path(sys.argv[1]))
registry.seed()
compile_to(Path(sys.argv[2]) / "compiled", registry, version)
print(sorted(name for name in sys.modules if name.startswith("scipy")))
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """This environment's packages, without scipy."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith("scipy"):
            (folder / path.name).symlink_to(path)
    return folder


def run(packages: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program with these packages and this checkout only."""
    return subprocess.run(
        [sys.executable, "-S", "-c", program, *arguments],
        env={"PYTHONPATH": f"{packages}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=packages,
        capture_output=True,
        text=True,
        check=False,
    )


def test_shipped_model_compiles_without_scipy(packages: Path, tmp_path: Path) -> None:
    models, compiled = tmp_path / "models", tmp_path / "compiled"
    models.mkdir()
    compiled.mkdir()
    done = run(packages, COMPILE, str(models), str(compiled))
    assert done.returncode == 0, done.stderr
    assert (compiled / "compiled").stat().st_size > 1000
    # No stand-in is left for later imports.
    assert done.stdout == "[]\n"


def test_code_that_needs_scipy_reports_it(packages: Path) -> None:
    program = """
from production_server.model.kerasfiles import keras_module
keras_module()
from jax.experimental.sparse import linalg
linalg.scipy.sparse.csr_matrix
"""
    done = run(packages, program)
    assert "scipy.sparse.csr_matrix requires scipy: install scipy" in done.stderr


def test_keras_would_not_start_without_the_stand_in(packages: Path) -> None:
    done = run(packages, "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras")
    assert "No module named 'scipy'" in done.stderr
