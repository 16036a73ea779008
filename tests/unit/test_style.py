"""The house rules that can be checked automatically."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST_MODULE = 350


def sources(*folders: str) -> list[Path]:
    """The Python files in these folders, including executables without a suffix."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix]
    return sorted(files + (scripts if "scripts" in folders else []))


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


def test_ruff_reports_nothing() -> None:
    assert run("ruff", "check", "--no-cache", ".") == ""


def test_code_is_formatted() -> None:
    assert run("ruff", "format", "--check", "--no-cache", ".") == ""


@pytest.mark.timeout(300)
def test_mypy_reports_nothing() -> None:
    assert run("mypy", "production_server", "openstack_client", "scripts") == ""


def test_modules_are_short_and_have_a_docstring() -> None:
    wrong = []
    for path in sources("production_server", "openstack_client", "scripts", "tests"):
        text = path.read_text()
        if not text.strip():
            continue
        if len(text.splitlines()) > LONGEST_MODULE:
            wrong.append(f"{path}: {len(text.splitlines())} lines")
        if ast.get_docstring(ast.parse(text)) is None:
            wrong.append(f"{path}: no docstring")
    assert wrong == []


def test_imports_follow_the_contracts() -> None:
    """The contracts are in pyproject.toml: layers, independent packages, no import cycles."""
    assert run("lint-imports", "--no-cache") == ""


def test_only_settings_read_the_environment() -> None:
    """Passing the environment to a child process does not count."""
    reads = re.compile(r"os\.environ(\.get\(|\[)|os\.getenv\(")
    wrong = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sources("production_server", "openstack_client")
        if "settings" not in path.name and "credentials" not in path.name
        for match in reads.finditer(path.read_text())
    ]
    assert wrong == []
