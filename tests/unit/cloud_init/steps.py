"""Load the programs in cloud-init/files/ as modules."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parents[3] / "cloud-init" / "files"
# On a server, the programs are in one folder and import each other from there.
sys.path.append(str(FILES / "steps"))


def load(name: str) -> Any:
    """Load a program as a module, without running it."""
    title = f"step_{Path(name).stem.replace('-', '_')}"
    loader = SourceFileLoader(title, str(FILES / name))  # some have no .py suffix
    spec = importlib.util.spec_from_loader(title, loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple looks up its module
    spec.loader.exec_module(module)
    return module
