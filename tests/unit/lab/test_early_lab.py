"""The lab of the tests: one that runs already is neither started nor stopped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import early_lab
from tests.support.early_lab import HERE, EarlyLab


class Running:
    """A lab that fails the test if it is told anything."""

    running = True

    def lab(self, *arguments: str) -> None:
        pytest.fail(f"scripts/lab {arguments}")


@pytest.mark.parametrize("folder", [HERE, HERE.parent / "unit"], ids=lambda folder: folder.name)
def test_a_running_lab_is_left_alone(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_lab, "the_lab", Running)
    monkeypatch.setattr(early_lab.subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    item: Any = SimpleNamespace(path=folder / "test_this.py", fixturenames=())
    lab = EarlyLab([item])
    lab.wait()
    lab.end()
