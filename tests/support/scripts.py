"""The programs in scripts/, as modules."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from types import ModuleType

from tests.support.service import ROOT


def script(name: str) -> ModuleType:
    """A program without an ending in its name."""
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
