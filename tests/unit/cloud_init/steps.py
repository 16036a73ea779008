"""The programs of cloud-init/files/, loaded as modules or run as a VM runs them."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parents[3] / "cloud-init" / "files"
# On a VM they all lie in one folder, and import one another from there.
sys.path.append(str(FILES / "steps"))


def load(name: str) -> Any:
    """A step program as a module of its own; nothing of it runs."""
    title = f"step_{Path(name).stem.replace('-', '_')}"
    loader = SourceFileLoader(title, str(FILES / name))  # some have no .py in their names
    spec = importlib.util.spec_from_loader(title, loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module
