"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("production_server", "openstack_client", "scripts", "tests")
LONGEST_MODULE = 350


def sources(*rooms: str) -> list[Path]:
    """The Python files, executables without an ending among them."""
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix]
    return sorted(files + (scripts if "scripts" in rooms else []))


def run(*command: str) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-5000:]


def test_ruff_finds_nothing() -> None:
    assert run("ruff", "check", "--no-cache", ".") == ""


def test_the_code_is_formatted() -> None:
    assert run("ruff", "format", "--check", "--no-cache", ".") == ""


@pytest.mark.timeout(300)
def test_mypy_finds_nothing() -> None:
    assert run("mypy", "production_server", "openstack_client", "scripts") == ""


def test_modules_fit_on_a_few_screens_and_say_what_they_are_for() -> None:
    wrong = []
    for path in sources("production_server", "openstack_client", "scripts"):
        text = path.read_text()
        if not text.strip():
            continue
        if len(text.splitlines()) > LONGEST_MODULE:
            wrong.append(f"{path}: {len(text.splitlines())} lines")
        if ast.get_docstring(ast.parse(text)) is None:
            wrong.append(f"{path}: no docstring")
    assert wrong == []


def test_imports_keep_to_the_contracts() -> None:
    """The layers, the two sides that keep apart, and no circles: see pyproject.toml."""
    assert run("lint-imports", "--no-cache") == ""


def test_only_settings_read_the_environment() -> None:
    """Passing the environment on to a child process is not reading it."""
    reads = re.compile(r"os\.environ(\.get\(|\[)|os\.getenv\(")
    wrong = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sources("production_server", "openstack_client")
        if "settings" not in path.name and "credentials" not in path.name
        for match in reads.finditer(path.read_text())
    ]
    assert wrong == []
