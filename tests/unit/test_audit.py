"""The audit of the locked packages: nothing that was not checked counts as safe."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.scripts import script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    return script("audit")


REPORT: dict[str, Any] = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {"name": "unknown", "skip_reason": "Dependency not found on PyPI"},
        {
            "name": "bad",
            "version": "1.0",
            "vulns": [
                {"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]},
                {"id": "PYSEC-2", "fix_versions": []},
            ],
        },
    ]
}


def test_what_is_skipped_was_not_checked(audit: ModuleType) -> None:
    assert audit.findings(REPORT) == (
        ["bad 1.0: PYSEC-1, fixed in 1.1, 2.0", "bad 1.0: PYSEC-2, fixed in no version"],
        ["unknown"],
    )


@pytest.mark.parametrize(
    ("vulnerable", "unchecked", "allowed", "code", "words"),
    [
        (set(), set(), False, 0, "No locked package has a known vulnerability."),
        (set(), {"a"}, False, 2, "not checked: a; PyPI did not answer"),
        (set(), {"a"}, True, 0, "not checked: a; PyPI did not answer"),
        ({"bad 1.0: X"}, {"a"}, True, 1, "vulnerable: bad 1.0: X"),
    ],
)
def test_the_exit_code(
    audit: ModuleType,
    capsys: pytest.CaptureFixture[str],
    vulnerable: set[str],
    unchecked: set[str],
    allowed: bool,
    code: int,
    words: str,
) -> None:
    assert audit.verdict(vulnerable, unchecked, "PyPI", allowed=allowed) == code
    printed = capsys.readouterr().out
    assert words in printed
    assert not (unchecked and "No locked package" in printed)


def test_every_lock_file_is_asked_about(audit: ModuleType) -> None:
    locks = {str(path.relative_to(ROOT)) for path in ROOT.glob("[!.]*/requirements*.txt")}
    assert set(audit.LOCKS) == locks | {"requirements.txt"}


def test_the_tools_are_in_no_lock_file(audit: ModuleType) -> None:
    for lock in audit.LOCKS:
        assert not re.search(r"^(pip-audit|cyclonedx)", (ROOT / lock).read_text(), re.MULTILINE)
