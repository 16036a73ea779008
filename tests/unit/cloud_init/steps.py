"""Load the programs in cloud-init/ as modules."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from openstack_client.places import TEMPLATES
from openstack_client.roles import ours
from openstack_client.userdata.render import declared_steps

FILES = TEMPLATES / "files"
# On a server, the programs are in one folder and import each other from there.
sys.path += [str(FILES / "steps"), str(TEMPLATES / "roles" / "worker" / "steps")]


def file(name: str) -> Path:
    """A file that all roles share, or the file of this name that a single role has."""
    shared = FILES / name
    return shared if shared.is_file() else next(TEMPLATES.glob(f"roles/*/{name}"))


def steps_of(role: str, ready_timeout: int) -> list[Any]:
    """The steps that contextualize.py runs on a machine with this role."""
    declared = json.loads(declared_steps(ours(role)))
    plan: list[Any] = load("contextualize.py").steps(declared, ready_timeout)
    return plan


def load(name: str) -> Any:
    """Load a program as a module, without running it."""
    title = f"step_{Path(name).stem.replace('-', '_')}"
    loader = SourceFileLoader(title, str(file(name)))  # some have no .py suffix
    spec = importlib.util.spec_from_loader(title, loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple looks up its module
    spec.loader.exec_module(module)
    return module
